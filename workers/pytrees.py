"""Arguments and outputs of models: containers of tensors, whose leaves have names like `args.0.key`."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.utils import _pytree as pytree

import protocol
from harness import Refused
from protocol import FailureKind


def leaves(prefix: str, tree: Any) -> Iterator[tuple[str, Any]]:
    """Every leaf (a tensor, a number, None, ...) with its name, in order."""
    for name, inner in _children(tree) or ():
        yield from leaves(f"{prefix}.{name}", inner)
    if _children(tree) is None:
        yield prefix, tree


def tensor_leaves(prefix: str, tree: Any) -> list[tuple[str, torch.Tensor]]:
    """The leaves that are tensors."""
    return [(name, leaf) for name, leaf in leaves(prefix, tree) if isinstance(leaf, torch.Tensor)]


def tensor_leaves_of_call(args: Any, kwargs: Any) -> list[tuple[str, torch.Tensor]]:
    """The tensors of a call: `args.0`, `kwargs.mask`, ..."""
    return [*tensor_leaves("args", args), *tensor_leaves("kwargs", kwargs)]


def mapped(prefix: str, tree: Any, change: Callable[[str, Any], Any]) -> Any:
    """The same tree with each leaf replaced by `change(name, leaf)`."""
    children = _children(tree)
    if children is None:
        return change(prefix, tree)
    values = [mapped(f"{prefix}.{name}", inner, change) for name, inner in children]
    if isinstance(tree, Mapping):
        if type(tree) is dict:
            return dict(zip(tree, values, strict=True))
        changed = copy.copy(tree)
        for key, value in zip(tree, values, strict=True):
            changed[key] = value  # type: ignore[index]
        return changed
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*values)
    if isinstance(tree, list | tuple):
        return type(tree)(values)
    if dataclasses.is_dataclass(tree):
        record: Any = copy.copy(tree)
        for field, value in zip(dataclasses.fields(tree), values, strict=True):
            object.__setattr__(record, field.name, value)
        return record
    return pytree.tree_unflatten(values, pytree.tree_flatten(tree)[1])


def replaced(args: Any, kwargs: Any, tensors: Mapping[str, torch.Tensor]) -> tuple[Any, Any]:
    """The call with the tensors that `tensors` names replaced."""

    def change(name: str, leaf: Any) -> Any:
        return tensors.get(name, leaf) if isinstance(leaf, torch.Tensor) else leaf

    return mapped("args", args, change), mapped("kwargs", kwargs, change)


def filled(args: Any, kwargs: Any, tensors: Mapping[str, torch.Tensor]) -> tuple[Any, Any]:
    """The call with the values of other tensors, in the memory layout of its own (channels last, ...)."""
    own = dict(tensor_leaves_of_call(args, kwargs))
    return replaced(args, kwargs, {name: torch.empty_like(own[name]).copy_(given) for name, given in tensors.items()})


def copied(tree: Any) -> Any:
    """The tree with copies of its tensors, because the script may change them."""
    with torch.no_grad():
        return mapped("", tree, lambda _, leaf: leaf.detach().clone() if isinstance(leaf, torch.Tensor) else leaf)


def to_file(name: str, tensor: torch.Tensor) -> protocol.Tensor:
    """The tensor in the protocol's form, with the same bits.

    Raises:
        Refused: the protocol doesn't have its type or layout.
    """
    dtype = dtype_name(tensor)
    if dtype not in protocol.DTYPES or tensor.layout != torch.strided:
        raise Refused(
            FailureKind.MODEL_ERROR, f"{name} is a {tensor.layout} tensor of {dtype}, which isobench can't compare"
        )
    plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    data = plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""
    return protocol.Tensor(name, dtype, tuple(tensor.shape), data)


def from_file(tensor: protocol.Tensor) -> torch.Tensor:
    """A tensor of the protocol as PyTorch's."""
    dtype = getattr(torch, tensor.dtype)
    if not tensor.data:
        return torch.empty(tensor.shape, dtype=dtype)
    return torch.frombuffer(bytearray(tensor.data), dtype=dtype).reshape(tensor.shape)


def dtype_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _children(tree: Any) -> list[tuple[str, Any]] | None:
    """The members of a container by name; None for a leaf."""
    if tree is None or isinstance(tree, torch.Tensor | str | bytes | int | float | complex | bool):
        return None
    if isinstance(tree, Mapping):
        return [(str(key), value) for key, value in tree.items()]
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return list(zip(tree._fields, tree, strict=True))
    if isinstance(tree, list | tuple):
        return [(str(index), value) for index, value in enumerate(tree)]
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        return [(field.name, getattr(tree, field.name)) for field in dataclasses.fields(tree)]
    # Others, such as the caches of language models, may be registered with torch's pytrees.
    parts, _ = pytree.tree_flatten(tree)
    if len(parts) == 1 and parts[0] is tree:
        return None
    return [(str(index), value) for index, value in enumerate(parts)]
