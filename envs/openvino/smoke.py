"""Run once in a new `openvino` environment, which is ready only if this succeeds: everything loads and works."""

import msgpack
import numpy as np
import openvino
from openvino import opset13

assert msgpack.unpackb(msgpack.packb({"a": [1, 2.5, None]})) == {"a": [1, 2.5, None]}
core = openvino.Core()
assert "CPU" in core.available_devices, core.available_devices
given = opset13.parameter([2, 3], np.float32)
doubled = core.compile_model(openvino.Model([opset13.add(given, given)], [given]), "CPU")
assert np.array_equal(doubled(np.ones((2, 3), np.float32))[0], np.full((2, 3), 2, np.float32))
