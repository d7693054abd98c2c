"""Smoke test of a new `onnx-reference` environment, which is ready only if this succeeds."""

import msgpack
import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

assert msgpack.unpackb(msgpack.packb([1, None])) == [1, None]
x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in "xy")
graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["x", "x"], ["y"])], "smoke", [x], [y])
[twice] = ReferenceEvaluator(onnx.helper.make_model(graph)).run(None, {"x": np.ones(2, dtype=np.float32)})
assert twice.tolist() == [2.0, 2.0]
