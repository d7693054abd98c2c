"""Reads a few facts of an ONNX file from its bytes, without loading it: it may be gigabytes large.

Source: the wire format of protocol buffers, and the numbers of the fields in onnx.proto.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_GRAPH, _INPUT = 7, 11  # of ModelProto, of GraphProto
_NAME, _TYPE, _TENSOR_TYPE, _SHAPE, _DIM, _DIM_PARAM = 1, 2, 1, 2, 1, 2
_BYTES, _FIXED = 2, {1: 8, 5: 4}  # wire types: bytes after their length; numbers of 8 and 4 bytes
_INPUT_BYTES = 1 << 20
_MOST_FIELDS = 1 << 20


class _Field(NamedTuple):
    number: int
    start: int
    length: int


def missing_bytes(path: Path) -> int:
    """How many bytes the file lacks at its end, as one does whose download was broken off; 0 if it is whole.

    Raises:
        OSError: it can't be read.
        ValueError: it isn't a protocol buffer.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        ends = [field.start + field.length for field in _fields(stream, size) if field.length]
    return max([0, *(end - size for end in ends)])


def input_names(path: Path) -> dict[str, tuple[str, ...]]:
    """The names of the dimensions of each of the graph's inputs ("" for a number or none), in the file's order.

    Weights that are listed as inputs, as old files have them, are among them.

    Raises:
        OSError: it can't be read.
        ValueError: it isn't a protocol buffer.
    """
    found: dict[str, tuple[str, ...]] = {}
    with path.open("rb") as stream:
        for graph in _fields(stream, os.fstat(stream.fileno()).st_size):
            if graph.number != _GRAPH or not graph.length:
                continue
            for field in _fields(stream, graph.start + graph.length):
                if field.number == _INPUT and field.length <= _INPUT_BYTES:
                    stream.seek(field.start)
                    value = stream.read(field.length)
                    found[_text(value, _NAME)] = tuple(
                        _text(dim, _DIM_PARAM) for dim in _inside(value, _TYPE, _TENSOR_TYPE, _SHAPE, _DIM)
                    )
    return found


def _fields(stream: BinaryIO, end: int) -> Iterator[_Field]:
    """The fields between the stream's position and `end`; `length` is 0 for a number."""
    place = stream.tell()
    for _ in range(_MOST_FIELDS):
        if place >= end:
            return
        stream.seek(place)
        key = _varint(stream)
        number, kind = key >> 3, key & 7
        length = 0
        if not number or (kind and kind != _BYTES and kind not in _FIXED):
            raise ValueError(f"no protocol buffer: field {number} of wire type {kind} at {place}")
        if kind == _BYTES:
            length = _varint(stream)
        elif kind == 0:
            _varint(stream)
        start = stream.tell() + _FIXED.get(kind, 0)
        yield _Field(number, start, length)
        place = start + length
    raise ValueError(f"more than {_MOST_FIELDS:,} fields")


def _varint(stream: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            raise ValueError("no protocol buffer: it ends inside a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("no protocol buffer: a number of more than 64 bits")


def _inside(value: bytes, *numbers: int) -> list[bytes]:
    """The contents of the fields that lie below each other by these numbers."""
    found = [value]
    for number in numbers:
        found = [
            content[field.start : field.start + field.length]
            for content in found
            for field in _fields(io.BytesIO(content), len(content))
            if field.number == number
        ]
    return found


def _text(value: bytes, number: int) -> str:
    return next((content.decode("utf-8", errors="replace") for content in _inside(value, number)), "")
