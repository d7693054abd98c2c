"""Small `.onnx` files for trials that measure: what counts is the process, not the figure."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper


def write(file: Path, *, width: int = 4) -> Path:
    """Write a model that adds its input to itself."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], file.stem, [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file
