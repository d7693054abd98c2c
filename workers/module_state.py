"""The state of a module at one moment: its parts, attributes, parameters and buffers. It can be restored later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

import layouts
import pytrees
import sameness

MOST_COPIED_BYTES = 256 << 20
"""Parameters are copied if all of them together are smaller. Larger ones are remembered without their values."""

_TABLES = ("_parameters", "_buffers", "_modules")


class State:
    """A module's state when this was made.

    Parts that were replaced later, attributes, the types of parameters (`module.to(dtype)`) and the values of buffers
    are restored; so are the values of parameters, unless these are larger than `MOST_COPIED_BYTES`.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        parameters = list(module.parameters())
        size = sum(tensor.numel() * tensor.element_size() for tensor in parameters if not _is_lazy(tensor))
        self._tensors = {id(tensor): _remembered(tensor, values=size <= MOST_COPIED_BYTES) for tensor in parameters}
        self._tensors |= {id(tensor): _remembered(tensor, values=True) for tensor in module.buffers()}
        self._shared: dict[int, Any] = {id(part): part for part in module.modules()}
        self._shared |= {id(tensor): tensor for tensor in [*parameters, *module.buffers()]}
        freezing = pytrees.Replacing(self._copied)
        self._parts: list[tuple[str, torch.nn.Module, dict[str, Any]]] = []
        for name, part in module.named_modules():
            attributes = {} if isinstance(part, torch.jit.ScriptModule) else vars(part)
            saved = {
                key: dict(value) if key in _TABLES else freezing.of(key, value) for key, value in attributes.items()
            }
            self._parts.append((name, part, saved))

    def restore(self) -> None:
        """Set the module back to this state."""
        thawing = pytrees.Replacing(self._copied)
        for _, part, saved in self._parts:
            if isinstance(part, torch.jit.ScriptModule):
                continue
            for gone in set(vars(part)) - set(saved):
                del part.__dict__[gone]
            for key, value in saved.items():
                _set(part, key, value, thawing)
        for tensor in self._tensors.values():
            tensor.restore()

    def renewal(self, names: Iterable[str]) -> Callable[[], None]:
        """A function that sets these attributes, parameters and buffers (named by `changes`) back at each call."""
        wanted = set(names)
        entries = [
            (part, key, tensor_name, value[tensor_name] if tensor_name else value)
            for name, part, saved in self._parts
            for key, value in saved.items()
            for tensor_name in (value if key in _TABLES else ("",))
            if _path(name, tensor_name or key) in wanted
        ]
        new = [
            (part, key) for name, part, saved in self._parts for key in _new(part, saved) if _path(name, key) in wanted
        ]
        scripted = [
            self._tensors[id(tensor)]
            for name, part, _ in self._parts
            for key, tensor in _scripted(part)
            if _path(name, key) in wanted
        ]

        def renew() -> None:
            thawing = pytrees.Replacing(self._copied)
            for part, key in new:
                part.__dict__.pop(key, None)
            for part, key, tensor_name, value in entries:
                if not tensor_name:
                    _set(part, key, value, thawing)
                    continue
                part.__dict__[key][tensor_name] = value
                if id(value) in self._tensors:
                    self._tensors[id(value)].restore()
            for tensor in scripted:
                tensor.restore()

        return renew

    def changes(self) -> list[str]:
        """The attributes, parameters and buffers that differ from this state now, by name."""
        return [*dict.fromkeys(self._changes())]

    def _changes(self) -> Iterator[str]:
        for name, part, saved in self._parts:
            yield from (_path(name, key) for key, tensor in _scripted(part) if self._tensors[id(tensor)].is_changed())
            for key, value in saved.items():
                now = part.__dict__.get(key)
                if key not in _TABLES:
                    if not sameness.same(value, now):
                        yield _path(name, key)
                    continue
                for entry, one in value.items():
                    known = self._tensors.get(id(one))
                    if (now or {}).get(entry) is not one or (known is not None and known.is_changed()):
                        yield _path(name, entry)
            yield from (_path(name, key) for key in _new(part, saved))

    def _copied(self, _name: str, leaf: Any) -> Any:
        """A leaf of an attribute, copied if a call may change it; the module's own parts and tensors stay."""
        if id(leaf) in self._shared:
            return leaf
        if isinstance(leaf, torch.Tensor):
            with torch.inference_mode(False), torch.no_grad():
                return layouts.copied(leaf)
        if pytrees.is_own(leaf) or isinstance(leaf, set):
            return pytrees.copied_object(leaf, self._shared)
        return leaf


class _Remembered:
    """A parameter or buffer: the object, its memory, and (`values`) a copy of its values."""

    def __init__(self, tensor: torch.Tensor, *, values: bool) -> None:
        self._tensor = tensor
        self._version = _version(tensor)
        with torch.inference_mode(False), torch.no_grad():
            self._memory = tensor.detach()
            self._values = self._memory.clone() if values and not _is_lazy(tensor) else None

    def is_current(self) -> bool:
        """Has the tensor the same memory, and wasn't it written to, as far as its version shows?"""
        return 0 <= self._version == _version(self._tensor) and _shares_memory(self._tensor, self._memory)

    def is_changed(self) -> bool:
        now = self._tensor.detach()
        if self._values is None:
            return _version(self._tensor) != self._version or not _shares_memory(now, self._memory)
        return not sameness.same_tensor(now, self._values)

    def restore(self) -> None:
        if _is_lazy(self._tensor):
            return
        with torch.inference_mode(self._tensor.is_inference()), torch.no_grad():
            if not _shares_memory(self._tensor, self._memory):
                self._tensor.data = self._memory
            if self._values is not None and not sameness.same_tensor(self._tensor.detach(), self._values):
                self._tensor.detach().copy_(self._values)


_latest: dict[int, _Remembered] = {}


def _remembered(tensor: torch.Tensor, *, values: bool) -> _Remembered:
    """The tensor's present memory and values; states between which it didn't change share one copy."""
    known = _latest.get(id(tensor))
    if known is None or known._tensor is not tensor or not known.is_current():
        known = _latest[id(tensor)] = _Remembered(tensor, values=values)
    return known


def _set(part: torch.nn.Module, key: str, value: Any, thawing: pytrees.Replacing) -> None:
    part.__dict__[key] = type(part.__dict__[key])(value) if key in _TABLES else thawing.of(key, value)


def _new(part: torch.nn.Module, saved: dict[str, Any]) -> list[str]:
    """Attributes that the part has now, and hadn't then."""
    return [] if isinstance(part, torch.jit.ScriptModule) else [key for key in vars(part) if key not in saved]


def _scripted(part: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    """The tensors of a scripted part, which has no attributes in Python."""
    if not isinstance(part, torch.jit.ScriptModule):
        return []
    return [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]


def _path(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _is_lazy(tensor: torch.Tensor) -> bool:
    return bool(torch.nn.parameter.is_lazy(tensor))


def _version(tensor: torch.Tensor) -> int:
    return -1 if tensor.is_inference() else int(tensor._version)


def _shares_memory(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.dtype != other.dtype or one.layout != other.layout or one.shape != other.shape:
        return False
    if not (layouts.is_plain(one) and layouts.is_plain(other)):
        return True
    return bool(one.data_ptr() == other.data_ptr() and one.stride() == other.stride())
