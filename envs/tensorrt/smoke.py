"""Run once in a new `tensorrt` environment, which is ready only if this succeeds: everything loads and works.

It needs the NVIDIA driver: pycuda doesn't load without it.
"""

import msgpack
import numpy as np
import pycuda.driver
import pynvml

try:
    import tensorrt
except ModuleNotFoundError:
    import tensorrt_bindings as tensorrt

assert msgpack.unpackb(msgpack.packb({"a": [1, 2.5, None]})) == {"a": [1, 2.5, None]}
assert np.arange(3).sum() == 3
assert pynvml.NVML_TEMPERATURE_GPU == 0
pycuda.driver.init()
assert pycuda.driver.Device.count() > 0
assert int(tensorrt.__version__.split(".")[0]) >= 10, tensorrt.__version__
assert tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.ERROR)) is not None
