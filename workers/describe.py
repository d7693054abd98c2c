"""Descriptions of a model that are the same on every machine: its hash, its signature, the hash of its weights."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import torch

import pytrees

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def hash_of(module: torch.nn.Module, args: Any, kwargs: Any) -> str:
    """8 hex digits over the structure, the shapes and types of parameters and buffers, and the call's arguments.

    Of the arguments, shapes, types and plain numbers are hashed; values of weights, paths, lines and addresses never.
    """
    lines = [
        f"{name}: {type(part).__name__}({_ADDRESS.sub('', part.extra_repr())})" for name, part in module.named_modules()
    ]
    for kind, tensors in (("parameter", module.named_parameters()), ("buffer", module.named_buffers())):
        lines += [f"{kind} {name}: {_type(tensor)}" for name, tensor in tensors]
    lines += [f"{name}: {_leaf(leaf)}" for tree in ("args", "kwargs") for name, leaf in _named(tree, args, kwargs)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]


def signature(args: Any, kwargs: Any) -> str:
    """The call, for people: `(float32[1, 3], mask=bool[1, 8], scale=2.0)`."""
    parts = [_text(value) for value in args]
    parts += [f"{name}={_text(value)}" for name, value in kwargs.items()]
    return f"({', '.join(parts)})"


def spec(name: str, tensor: torch.Tensor) -> dict[str, Any]:
    """Name, type and shape of a tensor, as JSON."""
    return {"name": name, "dtype": pytrees.dtype_name(tensor), "shape": list(tensor.shape)}


def weights_sha256(module: torch.nn.Module) -> str:
    """The SHA-256 over names, types, shapes and bytes of all parameters and buffers, in the module's own order."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, torch.Tensor):
            digest.update(f"{name}: {_type(tensor)}\n".encode())
            plain = tensor.detach().cpu().contiguous()
            if plain.numel():
                digest.update(plain.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _named(tree: str, args: Any, kwargs: Any) -> list[tuple[str, Any]]:
    return list(pytrees.leaves(tree, args if tree == "args" else dict(sorted(kwargs.items()))))


def _type(tensor: torch.Tensor) -> str:
    return f"{pytrees.dtype_name(tensor)}{list(tensor.shape)}"


def _leaf(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return _type(value)
    if value is None or isinstance(value, str | bytes | int | float | complex | bool):
        return repr(value)
    return type(value).__name__


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}: {_text(part)}" for key, part in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        inner = ", ".join(map(_text, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner})"
    return _leaf(value)
