"""Run once in a new `ort` environment, which is ready only if this succeeds: everything loads and works."""

import msgpack
import numpy as np
import onnxruntime

assert msgpack.unpackb(msgpack.packb({"a": [1, 2.5, None]})) == {"a": [1, 2.5, None]}
assert "CPUExecutionProvider" in onnxruntime.get_available_providers(), onnxruntime.get_available_providers()
value = onnxruntime.OrtValue.ortvalue_from_numpy(np.arange(6, dtype=np.float32).reshape(2, 3))
assert np.array_equal(value.numpy(), np.arange(6, dtype=np.float32).reshape(2, 3))
