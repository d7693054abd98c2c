"""JSON -> records: every member and its type is checked against the records' own annotations."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any


def decode(kind: Any, value: Any, where: str) -> Any:
    """Check `value`, read from JSON, against a type, and build what the type says.

    Raises:
        ValueError: it doesn't fit; the message says where.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _decode_record(kind, value, where)
    if origin in {types.UnionType, typing.Union}:
        return _decode_union(arguments, value, where)
    if origin is tuple:
        return tuple(decode(arguments[0], item, f"{where}[{n}]") for n, item in enumerate(_typed(list, value, where)))
    if origin is not None and issubclass(origin, Mapping):
        items = _typed(dict, value, where).items()
        return {name: decode(arguments[1], item, f"{where}.{name}") for name, item in items}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _decode_member(kind, value, where)
    if kind is float and type(value) is int:
        return float(value)
    return _typed(kind, value, where)


def _decode_record(kind: Any, value: Any, where: str) -> Any:
    given = _typed(dict, value, where)
    hints = typing.get_type_hints(kind)
    known = {entry.name: entry for entry in fields(kind)}
    missing = [
        name
        for name, entry in known.items()
        if name not in given and entry.default is MISSING and entry.default_factory is MISSING
    ]
    unknown = [name for name in given if name not in known]
    if missing or unknown:
        raise ValueError(
            f"{where}: "
            + "; ".join(
                f"{what} {', '.join(names)}" for what, names in (("lacks", missing), ("knows no", unknown)) if names
            )
        )
    return kind(**{name: decode(hints[name], item, f"{where}.{name}") for name, item in given.items()})


def _decode_union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    options = [kind for kind in kinds if kind is not types.NoneType]
    if len(options) > 1 and isinstance(value, dict):  # records of several kinds say which they are
        status = value.get("status")
        options = [kind for kind in options if is_dataclass(kind) and status == _default(kind, "status")]
        if not options:
            raise ValueError(f"{where}.status is {status!r}")
    return decode(options[0], value, where)


def _decode_member(kind: type[Enum], value: Any, where: str) -> Enum:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{where} must be one of {', '.join(str(one.value) for one in kind)}, got {value!r}") from None


def _default(kind: Any, name: str) -> Any:
    return next((entry.default for entry in fields(kind) if entry.name == name), None)


def _typed(kind: type, value: Any, where: str) -> Any:
    # A bool is an int to Python, not to a schema.
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ValueError(f"{where} is {type(value).__name__}, not {kind.__name__}")
    return value
