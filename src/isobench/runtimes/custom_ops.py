"""The argument `custom_op_library` of ONNX Runtime: a shared library with operators that it doesn't have itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.errors import UsageError
from isobench.system import files

LIBRARY = "custom_op_library"


def arguments(library: Path | None) -> dict[str, Any]:
    """The runtime's arguments for `library`: its path and its SHA-256, which is part of the Case's identity.

    Raises:
        UsageError: it can't be read.
    """
    if library is None:
        return {}
    path = paths.expanded(library).absolute()
    try:
        return {LIBRARY: str(path), f"{LIBRARY}_sha256": files.sha256(path)}
    except OSError as error:
        raise UsageError(f"{LIBRARY} {library} can't be read: {error.strerror}") from None


def library_of(rt_args: Mapping[str, Any]) -> Path | None:
    """The library among a runtime's arguments."""
    return Path(rt_args[LIBRARY]) if rt_args.get(LIBRARY) else None
