"""Rounds the weights of an ONNX file. Runs in isobench's `onnx` environment."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from harness import Refused, serve
from protocol import Ending


def _execute(onnx_file: str, output_dir: str, inputs_file: str, expected_file: str, *, bits: int) -> dict[str, Any]:
    if not 0 <= bits <= 23:
        raise Refused(Ending.BAD_ARGUMENT, f"bits must be from 0 to 23, got {bits}")
    model = onnx.load(onnx_file)
    rounded = 0
    for weight in model.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(weight)
            mantissa, exponent = np.frexp(values)
            scale = np.float32(2 ** (bits + 1))
            exact = np.ldexp(np.round(mantissa * scale) / scale, exponent).astype(np.float32)
            rounded += int((exact != values).sum())
            weight.CopyFrom(numpy_helper.from_array(exact, weight.name))
    onnx.save(model, os.path.join(output_dir, "model.onnx"))
    return {"rounded": rounded}


if __name__ == "__main__":
    serve(_execute)
