"""Converts an ONNX file, its inputs and its expected outputs to float16. Runs in the `onnx` environment."""

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
from protocol import Ending, Phase

_LARGE_BYTES = 1 << 30
"""Larger models get a second file for their weights: an ONNX file can't be larger than 2 GiB."""


def _execute(onnx_file: str, output_dir: str, inputs_file: str, expected_file: str) -> dict[str, Any]:
    stage(Phase.CONVERTING)
    large = sum(entry.stat().st_size for entry in os.scandir(os.path.dirname(onnx_file))) > _LARGE_BYTES
    # Shapes of a model that is too large for one message can't be inferred; the exporters have written them.
    model = float16.convert_float_to_float16(onnx.load(onnx_file), keep_io_types=False, disable_shape_infer=large)
    options: dict[str, Any] = {"save_as_external_data": True, "location": "model.onnx.data"} if large else {}
    onnx.save(model, os.path.join(output_dir, "model.onnx"), **options)
    # The converter leaves sequences and maps as they are: ZipMap's probabilities stay float32.
    values = [*model.graph.input, *model.graph.output]
    whole = tuple(f"{value.name}." for value in values if value.type.WhichOneof("value") not in {None, "tensor_type"})
    for what, file in (("input", inputs_file), ("output", expected_file)):
        given = protocol.read_tensors(file)
        halved = [one if whole and one.name.startswith(whole) else _halved(what, one) for one in given]
        protocol.write_tensors(file, halved)
    nodes = list(model.graph.node)
    return {
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "nodes": len(nodes),
        "in_float32": sum(node.op_type in float16.DEFAULT_OP_BLOCK_LIST for node in nodes),
    }


def _halved(what: str, tensor: protocol.Tensor) -> protocol.Tensor:
    """The tensor in float16 if it is float32, else unchanged."""
    if tensor.dtype != "float32":
        return tensor
    values = tensors.to_array(tensor)
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    lost = np.isinf(half) & np.isfinite(values)
    if lost.any():
        raise Refused(
            Ending.MODEL_ERROR,
            f"the {what} {tensor.name} has the value {values[lost].flat[0]:g}, beyond the range of float16 (65504)",
            "This model can't be measured in float16 with these inputs.",
        )
    return tensors.from_array(tensor.name, half)


if __name__ == "__main__":
    serve(_execute)
