"""Draws the inputs of an ONNX file by type, shape and use."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isobench.errors import ModelError
from isobench.planning.models import TensorSpec
from isobench.workers import protocol

if TYPE_CHECKING:
    import onnx

# Nodes that pass the values of indices on unchanged.
TRANSPARENT = {"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Slice", "Concat"}
INDEXING = {"Gather": 0, "GatherElements": 0, "GatherND": 0, "Embedding": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The values of one input; `rule` says in words how they were drawn, such as "standard normal"."""

    tensor: protocol.Tensor
    rule: str


def draw(model: onnx.ModelProto | None, specs: Sequence[TensorSpec], seed: int) -> list[Drawn]:
    """Values for inputs of the settled sizes `specs`, the same bytes for the same seed on every machine.

    Floating point: standard normal. bool: both values. uint8: 0 to 255, as in images. Other integers: valid indices, if
    the input is used as an index in `model`; 1, if its name contains "mask"; 0 to 9 otherwise. Each input has a random
    stream of its own (numpy's PCG64, seeded by `seed` and the input's name). Without a `model`, type and name decide.

    Raises:
        ModelError: an input is text, or no tensor.
    """
    import numpy as np

    graph = model.graph if model is not None else None
    weights = {entry.name: tuple(entry.dims) for entry in graph.initializer} if graph is not None else {}
    limits = index_limits(graph, weights) if graph is not None else {}
    drawn = []
    for spec in specs:
        if spec.dtype == protocol.STRING or spec.dtype not in protocol.DTYPES:
            raise ModelError(
                f"input {spec.name} is of type {spec.dtype}, for which no values can be drawn",
                hint="Give its values: --inputs FILE",
            )
        generator = np.random.Generator(np.random.PCG64([seed, zlib.crc32(spec.name.encode())]))
        shape = tuple(size for size in spec.shape if size is not None)
        values, rule = _values(spec, shape, limits, generator)
        data = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
        drawn.append(Drawn(tensor=protocol.Tensor(spec.name, spec.dtype, shape, data), rule=rule))
    return drawn


def _values(spec: TensorSpec, shape: tuple[int, ...], limits: Mapping[str, int], generator: Any) -> tuple[Any, str]:
    import numpy as np

    if spec.dtype.startswith(("float", "bfloat")):
        return generator.standard_normal(shape).astype(_numpy_type(spec.dtype)), "standard normal"
    if spec.dtype.startswith("complex"):
        values = generator.standard_normal(shape) + 1j * generator.standard_normal(shape)
        return values.astype(spec.dtype), "standard normal"
    if spec.dtype == "bool":
        return generator.integers(0, 2, shape).astype(bool), "true or false"
    if spec.name in limits:
        limit = limits[spec.name]
        return generator.integers(0, limit, shape).astype(spec.dtype), f"indices (0 to {limit - 1})"
    if "mask" in spec.name.lower():
        return np.ones(shape, dtype=spec.dtype), "ones (mask by name)"
    limit = 256 if spec.dtype == "uint8" else 10
    return generator.integers(0, limit, shape).astype(spec.dtype), f"integers from 0 to {limit - 1}"


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
