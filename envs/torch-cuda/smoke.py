"""Run once in a new `torch-cuda` environment, which is ready only if this succeeds. It needs no GPU."""

import msgpack
import numpy as np
import onnx
import onnxscript
import pynvml
import torch

assert msgpack.unpackb(msgpack.packb({"a": [1, 2.5, None]})) == {"a": [1, 2.5, None]}
assert torch.version.cuda, f"{torch.__version__} is a build without CUDA"
assert torch.equal(torch.from_numpy(np.eye(3, dtype=np.float32)) @ torch.ones(3, 1), torch.ones(3, 1))
assert onnx.defs.onnx_opset_version() >= 18, onnx.defs.onnx_opset_version()
assert onnxscript.opset18 is not None
assert pynvml.NVML_TEMPERATURE_GPU == 0
