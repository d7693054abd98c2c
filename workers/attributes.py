"""Plain attributes of a module that decide what it computes: numbers, words, functions, small containers of these.

Their texts are the same in every process and on every machine: never an address, a path, a time or a random name.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
import types
from collections.abc import Callable, Mapping
from typing import Any

import torch

_MOST_ENTRIES = 64
_LONGEST = 100
_LARGEST_INT = 1 << 31
"""Larger integers may be hashes, ids or times."""
_LARGEST_FRACTION = 1000.0
"""Larger numbers with a fraction may be times."""
_NAME_BY_CHANCE = re.compile(r"(?=[a-fA-F]*[0-9])[0-9a-fA-F]{6}|[\\/]")
"""Hexadecimal digits as of a random name, or a path."""
_OF_EVERY_MODULE = frozenset(vars(torch.nn.Module()))


def of(part: torch.nn.Module) -> dict[str, str]:
    """The plain attributes of one part of a model, sorted by name, as texts.

    Of torch's own layers only functions count: the rest is in their `extra_repr`.
    """
    if isinstance(part, torch.jit.ScriptModule):
        return {}
    own = not type(part).__module__.startswith("torch.")
    found = {}
    for name, value in sorted(vars(part).items()):
        if name not in _OF_EVERY_MODULE and (own or _is_function(value)):
            text = _text(value, 3)
            if text is not None:
                found[name] = text
    return found


def _is_function(value: Any) -> bool:
    return callable(value) and not isinstance(value, type | torch.nn.Module)


def _text(value: Any, depth: int) -> str | None:
    """The value as a text; None where it isn't plain."""
    if value is None or isinstance(value, bool | torch.dtype):
        return str(value)
    if isinstance(value, enum.Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, int):
        return str(value) if abs(value) < _LARGEST_INT else None
    if isinstance(value, float):
        return repr(value) if value.is_integer() or abs(value) < _LARGEST_FRACTION else None
    if isinstance(value, str):
        return repr(value) if len(value) <= _LONGEST and not _NAME_BY_CHANCE.search(value) else None
    if isinstance(value, type):
        return _name(value)
    if callable(value) and not isinstance(value, torch.nn.Module):
        return _function(value, depth)
    return _container(value, depth) if depth else None


def _container(value: Any, depth: int) -> str | None:
    if isinstance(value, torch.nn.Module):
        return None
    if isinstance(value, Mapping):
        pairs = [(str(key), inner) for key, inner in value.items()]
    elif isinstance(value, list | tuple):
        pairs = [("", inner) for inner in value]
    elif dataclasses.is_dataclass(value):
        pairs = [(field.name, getattr(value, field.name, None)) for field in dataclasses.fields(value)]
    else:
        return None
    texts = [(name, _text(inner, depth - 1)) for name, inner in pairs[: _MOST_ENTRIES + 1]]
    if len(texts) > _MOST_ENTRIES:
        return None
    known = [f"{name}={text}" if name else text for name, text in texts if text is not None]
    return f"{type(value).__name__}({', '.join(known)})" if known or not pairs else None


def _function(value: Callable[..., Any], depth: int) -> str | None:
    if isinstance(value, functools.partial):
        inner = [_text(one, depth - 1) for one in (value.func, *value.args, *value.keywords.values())]
        return f"partial({', '.join(map(str, inner))}, {', '.join(value.keywords)})"
    name = _name(value)
    code = getattr(value, "__code__", None)
    if name and "<lambda>" in name and isinstance(code, types.CodeType):
        constants = [text for one in code.co_consts if (text := _text(one, 1)) is not None]
        return f"lambda({', '.join(code.co_names)}; {', '.join(constants)})"
    return name


def _name(value: Any) -> str | None:
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if not isinstance(name, str):
        return None
    module = getattr(value, "__module__", None)
    return f"{module}.{name}" if module not in {None, "__main__", "builtins"} else name
