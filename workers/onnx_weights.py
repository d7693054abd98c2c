"""What an ONNX file says about its arithmetic: its weights, and the types that it computes with. Needs no `onnx`.

The file is mapped, not read, and a weight is a view of it. The format is that of protocol buffers: a field is a
number, a wire type and a value (protobuf.dev, "Encoding"); the numbers are those of ONNX's `onnx.proto`.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import protocol

FLOATS = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}
"""The floating-point types of weights, by ONNX's numbers."""
QUANTISED = {
    "QuantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
    "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat",
    "QGemm",
    "QAttention",
}

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Weight(NamedTuple):
    """A floating-point initializer; `data` views the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: memoryview


class Contents(NamedTuple):
    """The weights of the main graph; the floating-point types and the operators of the whole model.

    `dtypes` are those of inputs and constants and of casts. `stored` has the type of each tensor by name; it counts
    only if an operator other than a Cast uses the tensor (`used`): else the type only saves space.
    """

    weights: list[Weight]
    dtypes: set[str]
    operators: set[str]
    stored: dict[str, str]
    used: set[str]

    @property
    def quantised(self) -> bool:
        return not QUANTISED.isdisjoint(self.operators)

    def computed(self) -> set[str]:
        """The floating-point types that the model computes with."""
        return self.dtypes | {dtype for name, dtype in self.stored.items() if name in self.used}


def read(path: str) -> Contents:
    """The contents of an ONNX file.

    Raises:
        ValueError: it isn't one.
        OSError: it, or its external data, can't be read.
    """
    found = Contents([], set(), set(), {}, set())
    folder = os.path.dirname(os.path.abspath(path))
    parts = _grouped(_mapped(path))
    for graph in _messages(parts, 7):
        _graph(graph, found, folder, main=True)
    for function in _messages(parts, 25):
        for node in _messages(_grouped(function), 7):
            _node(node, found, folder)
    return found


def _graph(graph: memoryview, found: Contents, folder: str, *, main: bool) -> None:
    parts = _grouped(graph)
    for node in _messages(parts, 1):
        _node(node, found, folder)
    for tensor in _messages(parts, 5):  # initializer
        _tensor(tensor, found, folder, main=main)
    for value in _messages(parts, 11):  # input; exporters write wrong types of other values
        found.dtypes.update(_value_type(value))


def _node(node: memoryview, found: Contents, folder: str) -> None:
    parts = _grouped(node)
    operator = _text(parts, 4)
    found.operators.add(operator)
    if operator != "Cast":
        found.used.update(bytes(name).decode(errors="replace") for name in _messages(parts, 1))
    for attribute in _messages(parts, 5):
        inner = _grouped(attribute)
        for tensor in _messages(inner, 5, 10):  # t, tensors
            _tensor(tensor, found, folder, main=False)
        for graph in _messages(inner, 6, 11):  # g, graphs
            _graph(graph, found, folder, main=False)
        kind = inner.get(3, [0])[0]  # i
        if operator == "Cast" and _text(inner, 1) == "to" and kind in FLOATS:
            found.dtypes.add(FLOATS[kind])


def _tensor(tensor: memoryview, found: Contents, folder: str, *, main: bool) -> None:
    parts = _grouped(tensor)
    dtype = FLOATS.get(parts.get(2, [0])[0])
    if dtype is None:
        return
    if not main:
        found.dtypes.add(dtype)
        return
    name = _text(parts, 8)
    found.stored[name] = dtype
    shape = tuple(size for dims in parts.get(1, []) for size in ([dims] if isinstance(dims, int) else _varints(dims)))
    data = next(iter(_messages(parts, 4, 9, 10)), memoryview(b""))  # float_data, raw_data, double_data
    external = {_text(entry, 1): _text(entry, 2) for entry in map(_grouped, _messages(parts, 13))}
    if external:
        first, length = int(external.get("offset", 0)), external.get("length")
        mapped = _mapped(os.path.join(folder, external["location"]))
        data = mapped[first : first + int(length)] if length else mapped[first:]
    count = 1
    for size in shape:
        count *= size
    if count and len(data) == count * protocol.DTYPES[dtype]:
        found.weights.append(Weight(name, dtype, shape, data))


def _value_type(value: memoryview) -> Iterator[str]:
    """The floating-point type of a ValueInfoProto: type, tensor_type, elem_type."""
    for kind in _messages(_grouped(value), 2):
        for tensor in _messages(_grouped(kind), 1):
            number = _grouped(tensor).get(1, [0])[0]
            if number in FLOATS:
                yield FLOATS[number]


def _grouped(message: memoryview) -> dict[int, list[Any]]:
    """The values of a message's fields by number."""
    parts: dict[int, list[Any]] = {}
    for number, value in _fields(message):
        parts.setdefault(number, []).append(value)
    return parts


def _messages(parts: dict[int, list[Any]], *numbers: int) -> list[memoryview]:
    return [value for number in numbers for value in parts.get(number, []) if isinstance(value, memoryview)]


def _text(parts: dict[int, list[Any]], number: int) -> str:
    return next((bytes(value).decode(errors="replace") for value in _messages(parts, number)), "")


def _mapped(path: str) -> memoryview:
    if not os.path.getsize(path):
        return memoryview(b"")
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The number and the value of each field: an int, or a view of its bytes."""
    place, end = 0, len(message)
    while place < end:
        tag, place = _varint(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == _BYTES:
            size, place = _varint(message, place)
        elif kind in {_FIXED32, _FIXED64}:
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"not a protocol buffer: wire type {kind}")
        if place + size > end:
            raise ValueError("not a protocol buffer: it ends in the middle of a field")
        yield number, message[place : place + size]
        place += size


def _varints(packed: memoryview) -> list[int]:
    values, place = [], 0
    while place < len(packed):
        value, place = _varint(packed, place)
        values.append(value)
    return values


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        if place >= len(message) or shift > 63:
            raise ValueError("not a protocol buffer: a number doesn't end")
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return value, place
