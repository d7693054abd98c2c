"""Values of ONNX Runtime that aren't only tensors of numbers: text, sequences, maps, optionals.

`kind` is a type as ONNX Runtime writes it: `tensor(float)`, `seq(tensor(int64))`, `optional(...)`,
`seq(map(string,tensor(float)))`. In files, each value is tensors by the names that `protocol` describes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import protocol
import tensors

if TYPE_CHECKING:
    import onnxruntime

TEXT = "tensor(string)"


def is_tensor(kind: str) -> bool:
    """Whether memory of a fixed size can hold such a value."""
    return kind.startswith("tensor(") and kind != TEXT


def has_value(source: str, given: Mapping[str, protocol.Tensor]) -> bool:
    """Whether `given` has the tensor `source`, or tensors of a sequence or a map of that name."""
    return source in given or any(name.startswith(f"{source}.") for name in given)


def to_python(kind: str, source: str, given: Mapping[str, protocol.Tensor]) -> Any:
    """The input `source` as `session.run` takes it, from the tensors that are its parts.

    An OrtValue for a tensor of numbers, an array of objects for text, a list, a dict, or None for an optional without
    a value.

    Raises:
        KeyError: a tensor is missing.
    """
    outer, inner = _outer(kind)
    if outer == "optional":
        return to_python(inner, source, given) if has_value(source, given) else None
    if outer == "seq":
        parts = range(_length(source, given))
        if inner.startswith("map("):
            if f"{source}.keys" in given:
                keys, values = (tensors.to_array(given[f"{source}.{part}"]).tolist() for part in ("keys", "values"))
                return [dict(zip(*pair, strict=True)) for pair in zip(keys, values, strict=True)]
            return [to_python(inner, f"{source}.{part}", given) for part in parts]
        return [tensors.to_array(given[f"{source}.{part}"]) for part in parts]
    if outer == "map":
        keys, values = (tensors.to_array(given[f"{source}.{part}"]).ravel().tolist() for part in ("keys", "values"))
        return dict(zip(keys, values, strict=True))
    return tensors.to_array(given[source]) if kind == TEXT else tensors.to_ortvalue(given[source])


def from_python(name: str, kind: str, value: Any) -> list[protocol.Tensor]:
    """What `session.run` returned for an output of that kind, as tensors; of a sparse tensor, indices and values."""
    if value is None:
        return []
    outer, inner = _outer(kind)
    if outer == "optional":
        return from_python(name, inner, value)
    if outer == "seq" and inner.startswith("map("):
        return _from_maps(name, inner, value)
    if outer == "seq":
        return [part for place, one in enumerate(value) for part in from_python(f"{name}.{place}", inner, one)]
    if outer == "map":
        keys, values = _map_types(kind)
        return [
            tensors.from_array(f"{name}.keys", _array(list(value), keys)),
            tensors.from_array(f"{name}.values", _array(list(value.values()), values)),
        ]
    if outer == "sparse_tensor":
        return [
            tensors.from_array(f"{name}.indices", value.as_coo_view().indices()),
            tensors.from_array(f"{name}.values", value.values()),
        ]
    dtype = tensors.dtype_named(kind)
    return [tensors.from_array(name, np.asarray(value), dtype if dtype in tensors.ONNX_NUMBERS else "")]


def from_ortvalue(
    name: str, kind: str, output: str, value: onnxruntime.OrtValue, session: onnxruntime.InferenceSession
) -> list[protocol.Tensor]:
    """The value of the session's output `output`, in host memory, as tensors named `name`."""
    if kind.startswith("tensor("):
        return [tensors.from_ortvalue(name, value)]
    # Only a binding converts an OrtValue that isn't a tensor. It has no output besides: it crashes on text.
    binding = session.io_binding()
    binding.bind_ortvalue_output(output, value)
    return from_python(name, kind, binding.copy_outputs_to_cpu()[0])


def _from_maps(name: str, kind: str, maps: list[dict[Any, Any]]) -> list[protocol.Tensor]:
    """Maps with equal keys, as ZipMap makes them, as two tensors; others one by one."""
    if any(list(one) != list(maps[0]) for one in maps):
        return [part for place, one in enumerate(maps) for part in from_python(f"{name}.{place}", kind, one)]
    rows = [list(one) for one in maps], [list(one.values()) for one in maps]
    shape = (len(maps), len(maps[0]) if maps else 0)
    return [
        tensors.from_array(f"{name}.{part}", _array([entry for row in table for entry in row], dtype).reshape(shape))
        for part, table, dtype in zip(("keys", "values"), rows, _map_types(kind), strict=True)
    ]


def _array(values: list[Any], dtype: str) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=object if dtype == protocol.STRING else dtype)


def _outer(kind: str) -> tuple[str, str]:
    """`seq(tensor(float))` -> `seq` and `tensor(float)`."""
    outer, _, inner = kind.partition("(")
    return outer, inner[:-1]


def _map_types(kind: str) -> tuple[str, str]:
    """`map(int64,tensor(float))` -> `int64` and `float32`."""
    key, _, value = _outer(kind)[1].partition(",")
    return tensors.dtype_named(key), tensors.dtype_named(value)


def _length(source: str, given: Mapping[str, protocol.Tensor]) -> int:
    """The number of parts of a sequence: `x.0`, `x.1`, ... or, of maps, `x.0.keys`, ..."""
    places = {name.removeprefix(f"{source}.").partition(".")[0] for name in given if name.startswith(f"{source}.")}
    return sum(place.isdigit() for place in places)
