"""Inputs and outputs that aren't tensors: sequences, maps and optionals, as the tensors that files have of them.

Their types are written `sequence(float32)`, `optional(sequence(int64))`, `map(string, float32)`. A sequence `x` is the
tensors `x.0`, `x.1`, ...; a map `x` is `x.keys` and `x.values`; an optional without a value is no tensor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from isobench.builds import element_types, input_files
from isobench.builds.input_files import Message, Value
from isobench.errors import UsageError
from isobench.planning.models import TensorSpec
from isobench.record import record
from isobench.workers import protocol

if TYPE_CHECKING:
    from isobench.builds.element_types import Array


@record(frozen=True, slots=True, kw_only=True)
class Part:
    """One tensor of such an input by its own name, `x.0`."""

    name: str
    array: Array


def is_container(dtype: str) -> bool:
    return "(" in dtype


def owner(name: str, specs: Iterable[TensorSpec]) -> str:
    """The input that a tensor of this name is a part of; "" for none."""
    own = (spec.name for spec in specs if is_container(spec.dtype))
    return next((one for one in own if name == one or name.startswith(f"{one}.")), "")


def parts(spec: TensorSpec, value: Value, source: str) -> list[protocol.Tensor]:
    """The tensors of a value of such an input.

    Raises:
        UsageError: it has another type.
    """
    if isinstance(value, Message):
        value = input_files.decoded(value, f"{spec.dtype.partition('(')[0]}_type", source)
    arrays = [(value.name, value.array)] if isinstance(value, Part) else list(_named(spec.name, value))
    return [_tensor(name, array, spec, source) for name, array in arrays]


def flat(name: str, value: Any) -> list[protocol.Tensor]:
    """The tensors of a decoded value: an array, a list (`y.0`, `y.1`), or None."""
    return [element_types.to_tensor(own, array) for own, array in _named(name, value)]


def _named(name: str, value: Any) -> Iterable[tuple[str, Array]]:
    if isinstance(value, list):
        return [(f"{name}.{place}", array) for place, array in enumerate(value)]
    return [] if value is None else [(name, value)]


def _tensor(name: str, array: Array, spec: TensorSpec, source: str) -> protocol.Tensor:
    # `map(int64, float32)`: the first type is that of the keys, the last one that of all else.
    dtypes = re.findall(r"\w+(?=[,)])", spec.dtype)
    dtype = dtypes[0] if name.endswith(".keys") else dtypes[-1]
    try:
        return element_types.to_tensor(name, element_types.converted(array, dtype))
    except ValueError as error:
        found = f"{element_types.name_of(array)}{list(array.shape)}"
        raise UsageError(f"input {spec.name} ({spec.dtype}) got {found} for {name} from {source}: {error}") from None
