"""Run once in a new `tensorrt-rtx` environment, which is ready only if this succeeds. It needs no GPU."""

import msgpack
import numpy as np
import pynvml

try:
    import tensorrt_rtx
except ModuleNotFoundError:
    import tensorrt_rtx_bindings as tensorrt_rtx

assert msgpack.unpackb(msgpack.packb({"a": [1, 2.5, None]})) == {"a": [1, 2.5, None]}
assert np.arange(3).sum() == 3
assert pynvml.NVML_TEMPERATURE_GPU == 0
assert tensorrt_rtx.Builder(tensorrt_rtx.Logger(tensorrt_rtx.Logger.ERROR)) is not None
