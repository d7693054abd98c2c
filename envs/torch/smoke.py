"""Run once in a new `torch` environment, which is ready only if this succeeds: everything loads and works."""

import msgpack
import numpy as np
import onnx
import onnxscript
import torch

assert msgpack.unpackb(msgpack.packb({"a": [1, 2.5, None]})) == {"a": [1, 2.5, None]}
assert torch.equal(torch.from_numpy(np.eye(3, dtype=np.float32)) @ torch.ones(3, 1), torch.ones(3, 1))
assert onnx.defs.onnx_opset_version() >= 18, onnx.defs.onnx_opset_version()
assert onnxscript.opset18 is not None
