"""Run once in a new `ort-cuda` environment, which is ready only if this succeeds. It needs no GPU."""

import msgpack
import numpy as np
import onnxruntime
import pynvml

assert msgpack.unpackb(msgpack.packb({"a": [1, 2.5, None]})) == {"a": [1, 2.5, None]}
assert pynvml.NVML_TEMPERATURE_GPU == 0
assert "CUDAExecutionProvider" in onnxruntime.get_available_providers(), onnxruntime.get_available_providers()
value = onnxruntime.OrtValue.ortvalue_from_numpy(np.arange(6, dtype=np.float32).reshape(2, 3))
assert np.array_equal(value.numpy(), np.arange(6, dtype=np.float32).reshape(2, 3))
