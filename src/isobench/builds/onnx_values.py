"""Inputs and outputs of an ONNX graph: their names, types and sizes, as the file declares them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isobench.errors import ModelError
from isobench.planning.models import TensorSpec
from isobench.workers import protocol

if TYPE_CHECKING:
    import onnx


def spec(value: onnx.ValueInfoProto, path: Path) -> TensorSpec:
    """Name, type and sizes of a value; a size that isn't fixed is None, as is a negative one.

    Raises:
        ModelError: its type isn't supported, or its name isn't UTF-8.
    """
    if not isinstance(value.name, str):  # bytes, as protobuf has text that isn't UTF-8
        raise ModelError(f"{path}: the name of the input or output {value.name!r} isn't UTF-8")
    # Zero is a size: a cache that is still empty.
    sizes = [dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else None for dim in _dimensions(value)]
    return TensorSpec(name=value.name, dtype=_type_name(value.type, value.name, path), shape=tuple(sizes))


def output(value: onnx.ValueInfoProto, path: Path) -> TensorSpec:
    """An output; a file may leave its type out, and the runtime infers it."""
    kind = value.type.WhichOneof("value")
    if isinstance(value.name, str) and (
        kind is None or (kind == "tensor_type" and not value.type.tensor_type.elem_type)
    ):
        return TensorSpec(name=value.name, dtype="", shape=())
    return spec(value, path)


def _type_name(kind: onnx.TypeProto, name: str, path: Path) -> str:
    """The name of a type: of a tensor's elements, or such as `sequence(float32)` or `map(int64, float32)`."""
    which = kind.WhichOneof("value")
    if which == "tensor_type":
        return _dtype(kind.tensor_type.elem_type, name, path)
    if which == "sequence_type":
        return f"sequence({_type_name(kind.sequence_type.elem_type, name, path)})"
    if which == "optional_type":
        return f"optional({_type_name(kind.optional_type.elem_type, name, path)})"
    if which == "map_type":
        key = _dtype(kind.map_type.key_type, name, path)
        return f"map({key}, {_type_name(kind.map_type.value_type, name, path)})"
    raise ModelError(f"{path}: {name} has the type {which or 'undefined'}, which isn't supported")


def _dtype(number: int, name: str, path: Path) -> str:
    import numpy as np
    import onnx

    if number == onnx.TensorProto.STRING:
        return protocol.STRING
    known = number in onnx.TensorProto.DataType.values() and number != onnx.TensorProto.UNDEFINED
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(number)).name if known else str(number)
    if dtype not in protocol.DTYPES:
        raise ModelError(f"{path}: {name} has the element type {dtype}, which isn't supported")
    return dtype


def symbols(value: onnx.ValueInfoProto) -> tuple[str, ...]:
    """The names of its dimensions, "" for those without, and for bytes that aren't UTF-8."""
    return tuple(dim.dim_param if isinstance(dim.dim_param, str) else "" for dim in _dimensions(value))


def is_unranked(value: onnx.ValueInfoProto) -> bool:
    """Is it a tensor without a shape, whose number of dimensions isn't known?"""
    kind = value.type
    return kind.WhichOneof("value") == "tensor_type" and not kind.tensor_type.HasField("shape")


def fix(value: onnx.ValueInfoProto, shape: Sequence[int | None]) -> None:
    """Write the sizes of a tensor into its declaration, in place of names."""
    tensor = _tensor(value)
    tensor.ClearField("shape")
    tensor.shape.SetInParent()  # of a scalar, too
    for size in shape:
        if size is not None:
            tensor.shape.dim.add().dim_value = size


def _dimensions(value: onnx.ValueInfoProto) -> Sequence[onnx.TensorShapeProto.Dimension]:
    dimensions: Sequence[onnx.TensorShapeProto.Dimension] = _tensor(value).shape.dim
    return dimensions


def _tensor(value: onnx.ValueInfoProto) -> onnx.TypeProto.Tensor:
    """The type of a tensor, also of an optional one; an empty one for other values."""
    kind = value.type
    while kind.WhichOneof("value") == "optional_type":
        kind = kind.optional_type.elem_type
    return kind.tensor_type
