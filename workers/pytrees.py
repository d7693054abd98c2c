"""Arguments and outputs of models: containers of tensors, whose leaves have names like `args.0.key`.

Containers are mappings, sequences, dataclasses, what is registered with torch's pytrees, and objects of the user's own
classes that hold tensors. A tensor that occurs several times in a call stays one tensor in every copy of the call.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import types
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.utils import _pytree as pytree

import layouts
import protocol
from harness import Refused
from protocol import Ending

_PLAIN = (str, bytes, int, float, complex, bool, enum.Enum, type, types.FunctionType, types.ModuleType)
_LIBRARIES = ("torch", "numpy", "builtins", "logging", "threading", "_thread", "io", "pathlib")
_LARGE = 2000
_DEPTH = 6
"""How deep tensors are searched for in objects of the user's own classes."""


def leaves(prefix: str, tree: Any) -> Iterator[tuple[str, Any]]:
    """Every leaf (a tensor, a number, None, ...) with its name, in order."""
    return _leaves(prefix, tree, ())


def tensor_leaves(prefix: str, tree: Any) -> list[tuple[str, torch.Tensor]]:
    """The leaves that are tensors."""
    return [(name, leaf) for name, leaf in leaves(prefix, tree) if isinstance(leaf, torch.Tensor)]


def tensor_leaves_of_call(args: Any, kwargs: Any) -> list[tuple[str, torch.Tensor]]:
    """The tensors of a call: `args.0`, `kwargs.mask`, ...; one that is given several times has its first name."""
    unique: dict[int, tuple[str, torch.Tensor]] = {}
    for name, tensor in [*tensor_leaves("args", args), *tensor_leaves("kwargs", kwargs)]:
        unique.setdefault(id(tensor), (name, tensor))
    return list(unique.values())


def mapped(prefix: str, tree: Any, change: Callable[[str, Any], Any]) -> Any:
    """The same tree with each leaf replaced by `change(name, leaf)`, once for each tensor and object."""
    return Replacing(change).of(prefix, tree)


def replaced(args: Any, kwargs: Any, tensors: Mapping[str, torch.Tensor]) -> tuple[Any, Any]:
    """The call with the tensors that `tensors` names replaced, wherever they occur."""

    def change(name: str, leaf: Any) -> Any:
        return tensors.get(name, leaf) if isinstance(leaf, torch.Tensor) else leaf

    return _mapped_call(args, kwargs, change)


def filled(args: Any, kwargs: Any, tensors: Mapping[str, torch.Tensor]) -> tuple[Any, Any]:
    """The call with the values of other tensors, in the memory layout of its own (channels last, expanded, ...)."""
    own = dict(tensor_leaves_of_call(args, kwargs))
    given = {name: layouts.filled(own[name], values) for name, values in tensors.items() if name in own}
    return replaced(args, kwargs, given)


def copied(tree: Any) -> Any:
    """The tree with copies of its tensors and objects, because a call may change them.

    Modules, functions and what can't be copied stay the same objects.
    """
    with torch.inference_mode(False), torch.no_grad():
        return mapped("", tree, _copied_leaf)


def copied_call(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """A copy of a call; a tensor that it gives several times stays one."""
    both = copied((tuple(args), dict(kwargs)))
    return both[0], both[1]


def outputs(value: Any) -> list[tuple[str, torch.Tensor]]:
    """What a call returned, as tensors that can be compared and stored.

    Complex ones become pairs of real numbers in a last dimension, sparse ones dense, quantised ones real; each part of
    a nested one is a tensor. Where there is no tensor at all, plain numbers count: `output.1.0`.
    """
    found = list(leaves("output", value))
    tensors = [(name, leaf) for name, leaf in found if isinstance(leaf, torch.Tensor) or _is_array(leaf)]
    if not tensors:
        tensors = [(name, torch.tensor(leaf)) for name, leaf in found if isinstance(leaf, bool | int | float)]
    return [part for name, tensor in tensors for part in _comparable(name, tensor)]


def is_storable(tensor: torch.Tensor) -> bool:
    """Can a tensors file hold it?"""
    return layouts.is_plain(tensor) and dtype_name(tensor) in protocol.DTYPES


def to_file(name: str, tensor: torch.Tensor) -> protocol.Tensor:
    """The tensor in the protocol's form, with the same bits.

    Raises:
        Refused: the protocol doesn't have its type or layout.
    """
    if not is_storable(tensor):
        what = f"{str(tensor.layout).removeprefix('torch.')} tensor of {dtype_name(tensor)}"
        if tensor.device.type == "meta":
            what = "tensor on the meta device, which has no values"
        hint = "Create the model and its inputs on the CPU." if tensor.device.type == "meta" else ""
        raise Refused(Ending.MODEL_ERROR, f"{name} is a {what}: isobench can't compare it", hint)
    plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    data = plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""
    return protocol.Tensor(name, dtype_name(tensor), tuple(tensor.shape), data)


def from_file(tensor: protocol.Tensor) -> torch.Tensor:
    """A tensor of the protocol as PyTorch's."""
    dtype = getattr(torch, tensor.dtype)
    if not tensor.data:
        return torch.empty(tensor.shape, dtype=dtype)
    return torch.frombuffer(bytearray(tensor.data), dtype=dtype).reshape(tensor.shape)


def dtype_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _is_array(leaf: Any) -> bool:
    return type(leaf).__module__ == "numpy" and hasattr(leaf, "__array_interface__")


def _comparable(name: str, value: Any) -> list[tuple[str, torch.Tensor]]:
    tensor = value if isinstance(value, torch.Tensor) else torch.as_tensor(value)
    if tensor.is_nested:
        return [(f"{name}.{index}", part) for index, part in enumerate(tensor.unbind())]
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    return [(name, tensor)]


def _mapped_call(args: Any, kwargs: Any, change: Callable[[str, Any], Any]) -> tuple[Any, Any]:
    mapping = Replacing(change)
    return mapping.of("args", args), mapping.of("kwargs", kwargs)


def _copied_leaf(_name: str, leaf: Any) -> Any:
    if isinstance(leaf, torch.Tensor):
        return layouts.copied(leaf)
    if leaf is None or isinstance(leaf, (*_PLAIN, torch.nn.Module)) or callable(leaf):
        return leaf
    return copied_object(leaf, {})


def copied_object(value: Any, shared: dict[int, Any]) -> Any:
    """A deep copy of an object that isn't large and can be copied, or else the object; `shared` by id stay the same."""
    if not _is_small(value):
        return value
    try:
        return copy.deepcopy(value, dict(shared))
    except Exception:  # noqa: BLE001 - locks, generators, handles: they can't be copied, and any class may refuse it
        return value


def _is_small(value: Any) -> bool:
    """Are no more than `_LARGE` objects reachable? A trainer, a tokenizer or a data set isn't copied."""
    waiting = [value]
    seen: set[int] = set()
    while waiting and len(seen) <= _LARGE:
        one = waiting.pop()
        if one is None or isinstance(one, (*_PLAIN, torch.nn.Module, torch.Tensor)) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, list | tuple | set):
            waiting += one
        elif is_own(one):
            waiting += vars(one).values()
    return len(seen) <= _LARGE


class Replacing:
    """Replaces leaves of several trees. What occurs several times is replaced by one and the same."""

    def __init__(self, change: Callable[[str, Any], Any]) -> None:
        self._change = change
        self._known: dict[int, tuple[Any, Any]] = {}

    def of(self, name: str, tree: Any) -> Any:
        """The tree with its leaves replaced."""
        if id(tree) in self._known:
            return self._known[id(tree)][1]
        found = members(tree)
        if found is None:
            made = self._change(name, tree)
        else:
            try:
                made = self._container(name, tree, found)
            except (AttributeError, TypeError, ValueError) as error:
                what = f"{name.lstrip('.')} is a {type(tree).__name__}, which can't be copied: {error}"
                raise Refused(Ending.MODEL_ERROR, what, "Give the model plain tensors, lists or dicts.") from None
        if not (tree is None or isinstance(tree, _PLAIN)):
            self._known[id(tree)] = (tree, made)  # the tree, too: else another object could get its address
        return made

    def _container(self, name: str, tree: Any, found: list[tuple[str, Any]]) -> Any:
        started = _begun(tree)
        if started is not None:
            self._known[id(tree)] = (tree, started)  # before its members, which may refer to it
        values = [self.of(f"{name}.{key}", value) for key, value in found]
        return _ended(tree, started, found, values)


def _begun(tree: Any) -> Any:
    """An empty or shallow copy of a container that can be filled afterwards; None for the others."""
    if type(tree) in {dict, list}:
        return type(tree)()
    if isinstance(tree, types.MappingProxyType | tuple):
        return None
    return None if _is_registered(tree) and not isinstance(tree, Mapping | list) else copy.copy(tree)


def _ended(tree: Any, started: Any, found: list[tuple[str, Any]], values: list[Any]) -> Any:
    """The container with other members."""
    if isinstance(tree, types.MappingProxyType):
        return types.MappingProxyType(dict(zip(tree, values, strict=True)))
    if isinstance(tree, Mapping):
        if not isinstance(tree, dict | UserDict):  # a shallow copy may share what the mapping keeps its items in
            return type(tree)(dict(zip(tree, values, strict=True)))  # type: ignore[call-arg]
        for key, value in zip(tree, values, strict=True):
            started[key] = value
        return started
    if isinstance(tree, list):
        started[:] = values
        return started
    if isinstance(tree, tuple):
        return _tuple(tree, values)
    if started is None:
        return pytree.tree_unflatten(values, pytree.tree_flatten(tree)[1])
    for (name, old), value in zip(found, values, strict=True):
        if value is not old:
            object.__setattr__(started, name, value)  # also where the class is frozen
    return started


def _tuple(tree: tuple[Any, ...], values: list[Any]) -> Any:
    if hasattr(type(tree), "n_sequence_fields"):  # torch.return_types
        return type(tree)(values)
    made = tuple.__new__(type(tree), values)
    if getattr(tree, "__dict__", None):
        made.__dict__.update(tree.__dict__)
    return made


def _leaves(name: str, tree: Any, above: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    found = members(tree)
    if found is None:
        yield name, tree
    elif id(tree) not in above:
        for key, value in found:
            yield from _leaves(f"{name}.{key}", value, (*above, id(tree)))


def members(tree: Any) -> list[tuple[str, Any]] | None:
    """The members of a container by name; None for a leaf."""
    if tree is None or isinstance(tree, (torch.Tensor, torch.nn.Module, *_PLAIN)):
        return None
    if isinstance(tree, Mapping):
        return [(str(key), value) for key, value in tree.items()]
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return list(zip(tree._fields, tree, strict=True))
    if isinstance(tree, list | tuple):
        return [(str(index), value) for index, value in enumerate(tree)]
    if dataclasses.is_dataclass(tree):
        names = [field.name for field in dataclasses.fields(tree)]
        return [(name, getattr(tree, name)) for name in names if hasattr(tree, name)]
    if _is_registered(tree):  # such as the caches of some language models
        return [(str(index), value) for index, value in enumerate(pytree.tree_flatten(tree)[0])]
    return list(vars(tree).items()) if holds_tensors(tree) else None


def _is_registered(tree: Any) -> bool:
    return type(tree) in pytree.SUPPORTED_NODES


def holds_tensors(tree: Any, depth: int = _DEPTH) -> bool:
    """Is it an object of the user's own class, or of a library's, that has tensors somewhere within?"""
    if not is_own(tree) or depth == 0:
        return False
    return any(_has_tensor(value, depth - 1) for value in vars(tree).values())


def _has_tensor(value: Any, depth: int) -> bool:
    if isinstance(value, torch.Tensor):
        return True
    if depth <= 0 or value is None or isinstance(value, _PLAIN):
        return False
    if isinstance(value, Mapping):
        return any(_has_tensor(inner, depth - 1) for inner in value.values())
    if isinstance(value, list | tuple):
        return any(_has_tensor(inner, depth - 1) for inner in value)
    return holds_tensors(value, depth)


def is_own(tree: Any) -> bool:
    """Is it an object of a class of the user's or of a library, which keeps its attributes where they can be seen?"""
    kind = type(tree)
    library = kind.__module__.partition(".")[0]
    return hasattr(tree, "__dict__") and not callable(tree) and library not in _LIBRARIES
