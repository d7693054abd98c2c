"""Descriptions of a model that are the same on every machine: its hash, its signature, the hash of its weights."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import torch

import attributes
import pytrees

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def hash_of(module: torch.nn.Module, args: Any, kwargs: Any, context: str = "", *, plain: bool = True) -> str:
    """8 hex digits over the structure, the shapes and types of parameters and buffers, and the call.

    Of the structure, parts and their plain attributes count; of the call, shapes, types, plain numbers, which of its
    tensors are one and the same, and the context (`Surroundings.text`). Values of weights, paths, lines and addresses
    never count. Without `plain`, neither do the attributes.
    """
    lines = [f"{name}: {type(part).__name__}({_extra(part)})" for name, part in module.named_modules()]
    lines += [
        f"{name}.{key} = {text}"
        for name, part in module.named_modules()
        for key, text in (attributes.of(part).items() if plain else ())
    ]
    for kind, tensors in (("parameter", module.named_parameters()), ("buffer", module.named_buffers())):
        lines += [f"{kind} {name}: {type_of(tensor)}" for name, tensor in tensors]
    lines += [f"{name}: {text}" for name, text in facts_of_call(args, kwargs).items()]
    lines += [context] if context else []
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]


def facts_of_call(args: Any, kwargs: Any) -> dict[str, str]:
    """The leaves of a call by name: a tensor's type and shape, a plain number, and so on."""
    facts: dict[str, str] = {}
    first: dict[int, str] = {}
    for tree in ("args", "kwargs"):
        for name, leaf in _named(tree, args, kwargs):
            facts[name] = _leaf(leaf)
            if isinstance(leaf, torch.Tensor) and first.setdefault(id(leaf), name) != name:
                facts[name] += f", the same as {first[id(leaf)]}"
    return facts


def signature(args: Any, kwargs: Any) -> str:
    """The call, for people: `(float32[1, 3], mask=bool[1, 8], scale=2.0)`."""
    parts = [_text(value) for value in args]
    parts += [f"{name}={_text(value)}" for name, value in kwargs.items()]
    return f"({', '.join(parts)})"


def spec(name: str, tensor: torch.Tensor) -> dict[str, Any]:
    """Name, type and shape of a tensor, as JSON."""
    return {"name": name, "dtype": pytrees.dtype_name(tensor), "shape": sizes(tensor)}


def weights_sha256(module: torch.nn.Module) -> str:
    """The SHA-256 over names, types, shapes and bytes of all parameters and buffers, in the module's own order."""
    digest = hashlib.sha256()
    for entry, value in module.state_dict().items():
        for name, tensor in pytrees.tensor_leaves(entry, value):  # quantised layers have packed weights: tuples
            digest.update(f"{name}: {type_of(tensor)}\n".encode())
            for plain in _plain(tensor.detach()):
                if plain.numel():
                    digest.update(plain.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def type_of(tensor: torch.Tensor) -> str:
    """A tensor's type, layout and shape: `float32[1, 3]`, `sparse_coo float32[9, 9]`."""
    if torch.nn.parameter.is_lazy(tensor):
        return f"uninitialized {pytrees.dtype_name(tensor)}"
    layout = "nested" if tensor.is_nested else str(tensor.layout).removeprefix("torch.")
    return f"{'' if layout == 'strided' else f'{layout} '}{pytrees.dtype_name(tensor)}{sizes(tensor)}"


def sizes(tensor: torch.Tensor) -> list[int]:
    """The shape; of a nested tensor, the number of its parts alone."""
    return [tensor.size(0)] if tensor.is_nested else list(tensor.shape)


def _plain(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The tensor's values as tensors with strides."""
    if tensor.device.type == "meta" or torch.nn.parameter.is_lazy(tensor):
        return []
    if tensor.is_nested:
        return [part for one in tensor.unbind() for part in _plain(one)]
    if tensor.is_quantized:
        return [tensor.int_repr()]
    return [(tensor if tensor.layout == torch.strided else tensor.to_dense()).resolve_conj().resolve_neg()]


def _extra(part: torch.nn.Module) -> str:
    """What the part says of itself, without addresses."""
    try:
        return _ADDRESS.sub("", part.extra_repr())
    except Exception:  # noqa: BLE001 - a class may have a broken one, which only printing the model would call
        return ""


def _named(tree: str, args: Any, kwargs: Any) -> list[tuple[str, Any]]:
    return list(pytrees.leaves(tree, args if tree == "args" else dict(sorted(kwargs.items()))))


def _leaf(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return type_of(value)
    if value is None or type(value) in {str, bytes, int, float, complex, bool}:
        return repr(value)
    if hasattr(value, "__array_interface__"):
        return f"{type(value).__name__} {value.dtype}{list(value.shape)}"
    return type(value).__name__


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}: {_text(part)}" for key, part in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        inner = ", ".join(map(_text, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner})"
    members = pytrees.members(value)
    if members is None:
        return _leaf(value)
    tensors = [(name, part) for name, part in members if pytrees.tensor_leaves("", part)]
    return f"{type(value).__name__}({', '.join(f'{name}={_text(part)}' for name, part in tensors)})"
