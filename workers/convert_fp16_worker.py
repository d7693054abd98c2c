"""Converts an ONNX file to float16, and with it what goes in and is to come out. Runs in the `onnx` environment."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.transformers import float16

import protocol
import tensors
from harness import Refused, serve, stage
from protocol import FailureKind, Phase

_LARGE_BYTES = 1 << 30
"""From here on weights go into a file beside: an ONNX file itself can't be larger than two of these."""


def _execute(onnx_file: str, output_dir: str, inputs_file: str, expected_file: str) -> dict[str, Any]:
    stage(Phase.CONVERTING)
    large = sum(entry.stat().st_size for entry in os.scandir(os.path.dirname(onnx_file))) > _LARGE_BYTES
    # Shapes can't be inferred of a model that is too large for one message; the exporters write them down.
    model = float16.convert_float_to_float16(onnx.load(onnx_file), keep_io_types=False, disable_shape_infer=large)
    beside: dict[str, Any] = {"save_as_external_data": True, "location": "model.onnx.data"} if large else {}
    onnx.save(model, os.path.join(output_dir, "model.onnx"), **beside)
    for what, file in (("input", inputs_file), ("output", expected_file)):
        protocol.write_tensors(file, [_halved(what, tensor) for tensor in protocol.read_tensors(file)])
    nodes = list(model.graph.node)
    return {
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "nodes": len(nodes),
        "in_float32": sum(node.op_type in float16.DEFAULT_OP_BLOCK_LIST for node in nodes),
    }


def _halved(what: str, tensor: protocol.Tensor) -> protocol.Tensor:
    """The tensor with float32 as float16; what isn't float32 stays."""
    if tensor.dtype != "float32":
        return tensor
    values = tensors.to_array(tensor)
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    lost = np.isinf(half) & np.isfinite(values)
    if lost.any():
        raise Refused(
            FailureKind.MODEL_ERROR,
            f"the {what} {tensor.name} holds {values[lost].flat[0]:g}, which is beyond what float16 can hold (65504)",
            "This model can't be measured in float16 with these inputs.",
        )
    return tensors.from_array(tensor.name, half)


if __name__ == "__main__":
    serve(_execute)
