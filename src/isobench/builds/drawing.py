"""Draws the inputs of an ONNX file by type, shape and use."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isobench.planning.models import TensorSpec
from isobench.workers import protocol

if TYPE_CHECKING:
    import onnx

# Nodes that pass the values of indices on unchanged.
TRANSPARENT = {"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Slice", "Concat"}
INDEXING = {"Gather": 0, "GatherElements": 0, "GatherND": 0, "Embedding": 0}


def draw(specs: Sequence[TensorSpec], index_limits: Mapping[str, int], seed: int) -> list[protocol.Tensor]:
    """Inputs by type and shape, the same bytes for the same seed on every machine.

    Floating point: standard normal. bool: both values. uint8: 0 to 255, as in images. Other integers: valid indices, if
    the input is used as an index; 1, if its name contains "mask"; 0 to 9 otherwise. Each input has a random stream of
    its own (numpy's PCG64, seeded by `seed` and the input's name).
    """
    import numpy as np

    tensors = []
    for spec in specs:
        generator = np.random.Generator(np.random.PCG64([seed, zlib.crc32(spec.name.encode())]))
        shape = tuple(size for size in spec.shape if size is not None)
        values: Any
        if spec.dtype.startswith(("float", "bfloat")):
            values = generator.standard_normal(shape).astype(_numpy_type(spec.dtype))
        elif spec.dtype.startswith("complex"):
            values = (generator.standard_normal(shape) + 1j * generator.standard_normal(shape)).astype(spec.dtype)
        elif spec.dtype == "bool":
            values = generator.integers(0, 2, shape).astype(bool)
        elif spec.name in index_limits:
            values = generator.integers(0, index_limits[spec.name], shape).astype(spec.dtype)
        elif "mask" in spec.name.lower():
            values = np.ones(shape, dtype=spec.dtype)
        else:
            values = generator.integers(0, 256 if spec.dtype == "uint8" else 10, shape).astype(spec.dtype)
        data = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
        tensors.append(protocol.Tensor(spec.name, spec.dtype, shape, data))
    return tensors


def index_limits(graph: onnx.GraphProto, weights: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """For each integer input that is used as an index into a table of weights: the table's length."""
    limits: dict[str, int] = {}
    sources = {value.name: value.name for value in graph.input if value.name not in weights}
    for node in graph.node:  # in the order in which they run
        if node.op_type in INDEXING and len(node.input) > 1 and node.input[0] in weights:
            source = sources.get(node.input[1])
            axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 0)
            table = weights[node.input[0]]
            if source and table:
                limits[source] = min(limits.get(source, table[axis]), table[axis])
        elif node.op_type in TRANSPARENT and node.input and node.input[0] in sources:
            sources[node.output[0]] = sources[node.input[0]]
    return limits


def _numpy_type(name: str) -> Any:
    import numpy as np

    if hasattr(np, name):
        return np.dtype(name)
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name))
