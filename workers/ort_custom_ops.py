"""Operators that ONNX Runtime doesn't have: a library of the user's brings them, or a message names what is missing."""

from __future__ import annotations

import re
from typing import Any

import onnxruntime

from harness import Refused
from protocol import Ending

_UNKNOWN = re.compile(r"([\w.\-]+):(\w+)\(-?\d+\) is not a registered function/op")


def register(options: onnxruntime.SessionOptions, library: str) -> None:
    """Have sessions with these options use the operators of `library`; "": none.

    Raises:
        Refused: ONNX Runtime can't load it.
    """
    if not library:
        return
    try:
        options.register_custom_ops_library(library)
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions have no common class of their own
        raise Refused(
            Ending.BAD_ARGUMENT,
            f"ONNX Runtime can't load custom_op_library {library}: {error}",
            "It must be a shared library for this platform that exports RegisterCustomOps.",
        ) from None


def facts(library: str, sha256: str) -> dict[str, Any]:
    """The library, as the result records it."""
    return {"custom_op_library": {"path": library, "sha256": sha256}} if library else {}


def check_known(error: Exception, library: str) -> None:
    """Called where a session can't be created.

    Raises:
        Refused: because ONNX Runtime doesn't have an operator that the file uses.
    """
    found = _UNKNOWN.search(str(error))
    if found is None:
        return
    domain, operator = found.groups()
    where = f", and neither has {library}" if library else ""
    raise Refused(
        Ending.UNSUPPORTED_OPERATOR,
        f"the file uses the operator {operator} of the domain {domain}, which ONNX Runtime doesn't have{where}",
        "Give the library that implements it: -r ort --rt-args custom_op_library::PATH",
        cause=f"{domain}:{operator}",
    ) from None
