"""Run once in a new `onnx` environment, which is ready only if this succeeds: a model is created and converted."""

import msgpack
import numpy as np
import onnx
from onnxruntime.transformers import float16

assert msgpack.unpackb(msgpack.packb({"a": [1, 2.5, None]})) == {"a": [1, 2.5, None]}
weight = onnx.numpy_helper.from_array(np.ones((2, 2), dtype=np.float32), "weight")
x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 2]) for name in "xy")
node = onnx.helper.make_node("MatMul", ["x", "weight"], ["y"])
model = onnx.helper.make_model(onnx.helper.make_graph([node], "smoke", [x], [y], [weight]))
half = float16.convert_float_to_float16(model)
onnx.checker.check_model(half)
assert half.graph.initializer[0].data_type == onnx.TensorProto.FLOAT16
