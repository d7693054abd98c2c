"""Tensors of the protocol as OpenVINO's, bit by bit, and the ports of a model that they belong to."""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import causes
import protocol
import tensors
from harness import Refused
from protocol import Ending

_PLACE = re.compile(r"Exception from \S+:\d+:$|Check '.*' failed at \S+:\d+:$")
NAMES = {
    "boolean": "bool",
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "bf16": "bfloat16",
    "f8e4m3": "float8_e4m3fn",
    "f8e5m2": "float8_e5m2",
    "f8e8m0": "float8_e8m0fnu",
    "f4e2m1": "float4_e2m1fn",
    "string": protocol.STRING,
    **{f"i{bits}": f"int{bits}" for bits in (4, 8, 16, 32, 64)},
    **{f"u{bits}": f"uint{bits}" for bits in (2, 4, 8, 16, 32, 64)},
}


def dtype_of(port: Any) -> str:
    """The protocol's name of the element type of a port or tensor; OpenVINO's own, if the protocol has none."""
    name: str = port.element_type.get_type_name()
    return NAMES.get(name, name)


def write(target: Any, tensor: protocol.Tensor) -> None:
    """Copy the tensor into a tensor of OpenVINO of the same shape.

    Raises:
        Refused: OpenVINO wants another type, to which numpy can't convert.
    """
    wanted = dtype_of(target)
    if wanted == tensor.dtype == protocol.STRING:
        target.str_data = tensors.to_array(tensor).astype("U")
    elif wanted == tensor.dtype:
        # Not by numpy: it has no bfloat16, and OpenVINO shows one's bits as float16.
        data = tensors.pack(tensor)
        assert len(data) == target.byte_size
        if data:
            ctypes.memmove(target.data.ctypes.data, data, len(data))
    elif {wanted, tensor.dtype} & (tensors.ONNX_NUMBERS.keys() | {protocol.STRING}) or wanted not in protocol.DTYPES:
        raise Refused(
            Ending.MODEL_ERROR,
            f"OpenVINO reads the input {tensor.name} as {wanted}, and the file declares {tensor.dtype}",
            "Check whether ONNX Runtime can run it: -r ort",
        )
    else:
        target.data[...] = tensors.to_array(tensor)


def read(name: str, source: Any) -> protocol.Tensor:
    """A copy of a tensor of OpenVINO."""
    dtype, shape = dtype_of(source), tuple(source.shape)
    if dtype == protocol.STRING:
        return tensors.from_array(name, np.asarray(source.bytes_data, dtype=object))._replace(shape=shape)
    count = math.prod(shape)
    data = ctypes.string_at(source.data.ctypes.data, source.byte_size) if count else b""
    return protocol.Tensor(name, dtype, shape, tensors.unpack(dtype, data, count))


def match(ports: Sequence[Any], names: Sequence[str]) -> list[int | None]:
    """For each name of the file's inputs or outputs, in their order, the place of OpenVINO's port; None if it has none.

    OpenVINO renames ports (`Dropout` in inference gives its input the name of its output) and drops some. So they are
    matched by place where all are there, else by name; and what remains of both, if it is as many, in order.
    """
    if len(ports) == len(names):
        return list(range(len(names)))
    by_name = {name: place for place, port in enumerate(ports) for name in port.names}
    places = [by_name.get(name) for name in names]
    unnamed = [place for place in range(len(ports)) if place not in places]
    unmatched = [index for index, place in enumerate(places) if place is None]
    if len(unnamed) == len(unmatched):
        for index, place in zip(unmatched, unnamed, strict=True):
            places[index] = place
    return places


def can_not(do: str, error: Exception) -> Exception:
    """The error for the user; the one that it is, if memory or disk are used up: the host knows what that means."""
    if causes.lacks(error):
        return error
    kind, lacking = causes.of_model(str(error))
    return Refused(
        kind,
        f"OpenVINO can't {do} the model: {reason(error)}",
        "Check whether ONNX Runtime can run it: -r ort",
        cause=lacking,
    )


def reason(error: Exception) -> str:
    """What OpenVINO says in one line, without the places in its source code."""
    lines = [line.strip() for line in str(error).splitlines()]
    messages = [line for line in lines if line and not _PLACE.match(line)]
    return " ".join(messages) or str(error)


def check_inputs(ports: Sequence[Any], places: Sequence[int | None]) -> None:
    """Raises:
    Refused: OpenVINO has an input that isn't one of the file's.
    """
    unknown = sorted(set(range(len(ports))) - set(places), key=int)
    if unknown:
        names = ", ".join("/".join(sorted(ports[place].names)) for place in unknown)
        raise Refused(
            Ending.MODEL_ERROR,
            f"OpenVINO has inputs that the file doesn't have: {names}",
            "Check whether ONNX Runtime can run it: -r ort",
        )


def chosen(outputs: Sequence[Mapping[str, str]], places: Sequence[int | None]) -> list[tuple[str, int]]:
    """Source and place of each output; of one that the file lists twice, the first.

    Raises:
        Refused: OpenVINO has dropped one.
    """
    found: dict[str, int] = {}
    for entry, place in zip(outputs, places, strict=True):
        if place is None:
            raise Refused(Ending.MODEL_ERROR, f"OpenVINO has no output {entry['name']}")
        found.setdefault(entry["source"], place)
    return list(found.items())
