"""The signature of an `.ort` file, which only ONNX Runtime can read. Runs in `ort`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import onnxruntime

import causes
import ort_custom_ops
import ort_format
from harness import Refused, serve
from protocol import Ending


def _execute(file: str, custom_op_library: str = "") -> dict[str, Any]:
    if not ort_format.is_ort_format(file):
        raise Refused(
            Ending.MODEL_ERROR, f"{file} isn't in ONNX Runtime's own format", "An ONNX file has the suffix .onnx."
        )
    options = onnxruntime.SessionOptions()
    ort_custom_ops.register(options, custom_op_library)
    ort_format.accept(options, file)
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        ort_custom_ops.check_known(error, custom_op_library)
        if causes.lacks(error):
            raise
        kind, lacking = causes.of_model(str(error))
        raise Refused(
            kind,
            f"ONNX Runtime {onnxruntime.__version__} can't load the file: {error}",
            "It may be of another version of ONNX Runtime: convert the .onnx file again, or run that.",
            cause=lacking,
        ) from None
    return {"inputs": _entries(session.get_inputs()), "outputs": _entries(session.get_outputs())}


def _entries(values: Iterable[Any]) -> list[dict[str, Any]]:
    """Name, type as ONNX Runtime writes it, and sizes: a number, a name, or None."""
    return [{"name": value.name, "kind": value.type, "shape": list(value.shape)} for value in values]


if __name__ == "__main__":
    serve(_execute)
