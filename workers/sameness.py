"""Are two values the same? Tensors bit by bit, containers and objects member by member."""

from __future__ import annotations

import types
from typing import Any

import torch

import pytrees

_DEPTH = 6
_COMPARED = (str, bytes, int, float, complex, bool, tuple, frozenset, set, range, slice, types.FunctionType)


def same_tensor(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Have they the same type, shape and values? NaN equals NaN."""
    if one is other:
        return True
    if _kind(one) != _kind(other):
        return False
    if one.is_nested:
        parts, others = one.unbind(), other.unbind()
        return len(parts) == len(others) and all(map(same_tensor, parts, others))
    if torch.nn.parameter.is_lazy(one):
        return True
    return bool(one.shape == other.shape and one.device == other.device) and _same_values(one, other)


def _same_values(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.device.type == "meta":
        return True
    if one.is_quantized:
        return bool(torch.equal(one.int_repr(), other.int_repr()))
    if one.layout != torch.strided:
        one, other = one.to_dense(), other.to_dense()
    if torch.equal(one, other):
        return True
    has_nan = (one.is_floating_point() or one.is_complex()) and one.element_size() > 1
    return has_nan and bool(
        torch.equal(one.isnan(), other.isnan()) and torch.equal(one.nan_to_num(), other.nan_to_num())
    )


def differences(prefix: str, one: Any, other: Any) -> list[str]:
    """The names of the leaves in which two trees differ."""
    before, after = dict(pytrees.leaves(prefix, one)), dict(pytrees.leaves(prefix, other))
    return [name for name in {**before, **after} if not same(before.get(name), after.get(name))]


def same(one: Any, other: Any, depth: int = _DEPTH) -> bool:
    """Are two values the same, as far as that can be seen? Objects of unknown classes are taken for the same."""
    if one is other:
        return True
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return same_tensor(one.detach(), other.detach())
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.nn.Module):
        return False  # another object of its own
    before, after = pytrees.members(one), pytrees.members(other)
    if before is None or after is None:
        if before is not after:
            return False
        before, after = _attributes(one), _attributes(other)
        if before is None or after is None:
            return _equal(one, other)
    if depth == 0:
        return True
    return [name for name, _ in before] == [name for name, _ in after] and all(
        same(left, right, depth - 1) for (_, left), (_, right) in zip(before, after, strict=True)
    )


def _kind(tensor: torch.Tensor) -> tuple[Any, ...]:
    return tensor.dtype, tensor.layout, tensor.is_nested, tensor.is_quantized, torch.nn.parameter.is_lazy(tensor)


def _attributes(value: Any) -> list[tuple[str, Any]] | None:
    return list(vars(value).items()) if pytrees.is_own(value) else None


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, _COMPARED):
        return bool(one == other) or (isinstance(one, float) and one != one)  # noqa: PLR0124 - NaN
    compares: Any = type(one).__eq__
    if compares is object.__eq__:
        return True
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - arrays refuse a truth value
        return bool((one == other).all()) if hasattr(one, "__array_interface__") else True
