"""Runs models with the inputs beside them on plain ONNX Runtime, in the environment `onnx`: see onnx_suite.py.

Folders come on standard input, one a line; for each, a JSON line goes to standard output: `{"folder", "outcome"}`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def run(folder: Path) -> str:
    """Run one model; return "ok", or the first line of the error."""
    import onnx
    import onnxruntime

    try:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        model = onnx.load(folder / "model.onnx")
        given = {
            value.name: _value((folder / "test_data_set_0" / f"input_{index}.pb").read_bytes(), value.type)
            for index, value in enumerate(model.graph.input)
        }
        wanted = {entry.name for entry in session.get_inputs()}
        given = {name: value for name, value in given.items() if name in wanted}
        if all(isinstance(value, onnxruntime.OrtValue) for value in given.values()):
            session.run_with_ort_values(None, given)  # session.run refuses outputs of types that numpy lacks
        else:
            session.run(None, given)
    except Exception as error:  # noqa: BLE001 - whatever it raises, it can't run this model
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return "ok"


def _value(data: bytes, kind: Any) -> Any:
    """An input in the form that `session.run` takes."""
    import onnx
    import onnxruntime
    from onnx import numpy_helper

    if kind.HasField("sequence_type"):
        return numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    if kind.HasField("optional_type"):
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
    tensor = onnx.TensorProto.FromString(data)
    array = numpy_helper.to_array(tensor)
    if tensor.data_type == tensor.STRING:
        return array
    if array.dtype.kind in "biufc":
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, tensor.data_type)


if __name__ == "__main__":
    for line in sys.stdin.read().split("\n"):
        print(json.dumps({"folder": line, "outcome": run(Path(line))}), flush=True)
