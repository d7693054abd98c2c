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
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Weight(NamedTuple):
    """A floating-point initializer; `data` views the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: memoryview


class Node(NamedTuple):
    """The node that makes a value; `axis` is the attribute, None where the node has none."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    axis: int | None


class Contents(NamedTuple):
    """The weights of the main graph; the floating-point types and the operators of the whole model.

    `dtypes` are those of inputs and constants and of casts. `stored` has the type of each tensor by name; it counts
    only if an operator other than a Cast uses the tensor (`used`): else the type only saves space. `producers` has the
    node that makes each value, `constants` the floating-point values of Constant nodes.
    """

    weights: list[Weight]
    dtypes: set[str]
    operators: set[str]
    stored: dict[str, str]
    used: set[str]
    producers: dict[str, Node]
    constants: dict[str, Weight]
    outputs: list[str]

    @classmethod
    def none(cls) -> Contents:
        """The contents of a file that says nothing."""
        return cls([], set(), set(), {}, set(), {}, {}, [])

    def computed(self) -> set[str]:
        """The floating-point types that the model computes with."""
        return self.dtypes | {dtype for name, dtype in self.stored.items() if name in self.used}


def read(path: str) -> Contents:
    """The contents of an ONNX file.

    Raises:
        ValueError: it isn't one.
        OSError: it, or its external data, can't be read.
    """
    found = Contents.none()
    folder = os.path.dirname(os.path.abspath(path))
    parts = _grouped(_mapped(path))
    for graph in _messages(parts, 7):
        _graph(graph, found, folder, main=True)
        found.outputs.extend(_text(_grouped(output), 1) for output in _messages(_grouped(graph), 12))
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
    operator, inputs, outputs = _text(parts, 4), _texts(parts, 1), _texts(parts, 2)
    found.operators.add(operator)
    axis: int | None = None
    if operator != "Cast":
        found.used.update(inputs)
    for attribute in _messages(parts, 5):
        inner = _grouped(attribute)
        for tensor in _messages(inner, 5, 10):  # t, tensors
            constant = _tensor(tensor, found, folder, main=False)
            if operator == "Constant" and constant is not None:
                found.constants[outputs[0]] = constant
        for graph in _messages(inner, 6, 11):  # g, graphs
            _graph(graph, found, folder, main=False)
        kind = inner.get(3, [0])[0]  # i
        if _text(inner, 1) == "axis":
            axis = kind - (1 << 64) if kind >> 63 else kind
        if operator == "Cast" and _text(inner, 1) == "to" and kind in FLOATS:
            found.dtypes.add(FLOATS[kind])
    found.producers.update(dict.fromkeys(outputs, Node(operator, inputs, outputs, axis)))


def _tensor(tensor: memoryview, found: Contents, folder: str, *, main: bool) -> Weight | None:
    """Note the type of a tensor; return it, if it is of floating point and has values."""
    parts = _grouped(tensor)
    dtype = FLOATS.get(parts.get(2, [0])[0])
    if dtype is None:
        return None
    name = _text(parts, 8)
    if main:
        found.stored[name] = dtype
    else:
        found.dtypes.add(dtype)
    shape = tuple(size for dims in parts.get(1, []) for size in ([dims] if isinstance(dims, int) else _varints(dims)))
    count = 1
    for size in shape:
        count *= size
    data = _data(parts, folder)
    if not count or len(data) != count * protocol.DTYPES[dtype]:
        return None
    weight = Weight(name, dtype, shape, data)
    if main:
        found.weights.append(weight)
    return weight


def _data(parts: dict[int, list[Any]], folder: str) -> memoryview:
    external = {_text(entry, 1): _text(entry, 2) for entry in map(_grouped, _messages(parts, 13))}
    if not external:
        return next(iter(_messages(parts, 4, 9, 10)), memoryview(b""))  # float_data, raw_data, double_data
    first, length = int(external.get("offset", 0)), external.get("length")
    mapped = _mapped(os.path.join(folder, external["location"]))
    return mapped[first : first + int(length)] if length else mapped[first:]


def with_outputs(model: bytes, names: list[str]) -> bytes:
    """The bytes of a model that returns these values, too: a message that is appended to another is merged into it."""
    graph = b"".join(_field(12, _field(1, name.encode())) for name in names)
    return model + _field(7, graph)


def _field(number: int, data: bytes) -> bytes:
    size, length = len(data), b""
    while size >= 0x80:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | _BYTES]) + length + bytes([size]) + data


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


def _texts(parts: dict[int, list[Any]], number: int) -> list[str]:
    return [bytes(value).decode(errors="replace") for value in _messages(parts, number)]


def _text(parts: dict[int, list[Any]], number: int) -> str:
    return next(iter(_texts(parts, number)), "")


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
