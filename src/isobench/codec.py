"""Records to JSON and back: every member is checked against the records' own annotations: its type and its range.

Ranges are in the types (`constraints`); what relates several members, a record checks itself in `__post_init__`, and
raises a ValueError. No number may be infinite or wider than 64 bits, and nothing nested deeper than `DEEPEST`: so
whoever uses a decoded record can print it, compute with it and store it.
"""

from __future__ import annotations

import math
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

from isobench.constraints import shown
from isobench.errors import IsobenchError

OPEN = {"open": True}
"""Metadata of a field whose records are open to additions: members that this version doesn't know are left out."""
DEEPEST = 40
"""Lists and objects within each other, where any JSON is allowed."""
LARGEST = 2**63 - 1
"""The largest integer: of SQLite, and of most programs that read JSON."""
_LARGEST: dict[Any, float] = {int: LARGEST, float: sys.float_info.max}


def decode(kind: Any, value: Any, where: str, *, is_open: bool = False) -> Any:
    """Check `value`, read from JSON, against a type, and return an object of that type.

    `where` names the value in messages; in what `is_open`, unknown members are left out.

    Raises:
        ValueError: it doesn't fit; the message says where.
    """
    return _decoder(kind)(value, where, is_open)


@cache
def _decoder(kind: Any) -> Callable[[Any, str, bool], Any]:
    """The function for a type, given the value, `where` and `is_open`: to find it takes longer than to call it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return _decode_any
    if origin is Annotated:
        return partial(_decode_checked, _decoder(arguments[0]), arguments[1])
    if is_dataclass(kind):
        return partial(_decode_record, kind)
    if origin in {types.UnionType, typing.Union}:
        options = [one for one in arguments if one is not types.NoneType]
        return partial(_decode_optional, _decoder(options[0])) if len(options) == 1 else partial(_decode_union, options)
    if origin is tuple:
        return partial(_decode_items, arguments[0])
    if origin is not None and issubclass(origin, Mapping):
        return partial(_decode_mapping, arguments[1])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return partial(_decode_member, kind)
    return partial(_decode_number, kind, _LARGEST[kind]) if kind in _LARGEST else partial(_decode_plain, kind)


def _decode_items(kind: Any, value: Any, where: str, is_open: bool) -> tuple[Any, ...]:
    items = _typed(list, value, where)
    types_of_items = set(map(type, items))
    if (kind in {str, bool} and types_of_items <= {kind}) or (types_of_items == {float} and _are_floats(kind, items)):
        return tuple(items)  # long ones are
    decoded = _decoder(kind)
    return tuple(decoded(item, f"{where}[{place}]", is_open) for place, item in enumerate(items))


def _are_floats(kind: Any, items: list[float]) -> bool:
    """Are all of them what `kind`, a float in a range, may be? Then they needn't be decoded one by one."""
    plain, *ranges = typing.get_args(kind) if typing.get_origin(kind) is Annotated else (kind,)
    ends = min(items), max(items)
    return plain is float and all(map(math.isfinite, items)) and not any(one(end) for one in ranges for end in ends)


def _decode_mapping(kind: Any, value: Any, where: str, is_open: bool) -> dict[str, Any]:
    decoded = _decoder(kind)
    return {name: decoded(item, f"{where}.{name}", is_open) for name, item in _typed(dict, value, where).items()}


def _decode_plain(kind: Any, value: Any, where: str, _is_open: bool) -> Any:
    if type(value) is kind:
        return value
    return Path(_typed(str, value, where)) if kind is Path else _typed(kind, value, where)


def _decode_number(kind: Any, largest: float, value: Any, where: str, _is_open: bool) -> Any:
    if type(value) is kind and -largest <= value <= largest:  # not so NaN
        return value
    if kind is float and type(value) is int and -LARGEST <= value <= LARGEST:
        return float(value)
    raise ValueError(f"{where} {_no_number(kind, value)}")


def _no_number(kind: type, value: Any) -> str:
    """Why a value is no number of a kind."""
    if type(value) is int:
        return "must have at most 64 bits"
    if type(value) is kind:
        return f"must be finite, got {value}"
    return f"must be {kind.__name__}, got {type(value).__name__}"


def _decode_checked(
    decoded: Callable[[Any, str, bool], Any], check: Callable[[Any], str], value: Any, where: str, is_open: bool
) -> Any:
    found = decoded(value, where, is_open)
    if problem := check(found):
        raise ValueError(f"{where} must be {problem}, got {shown(value)}")
    return found


def _decode_any(value: Any, where: str, _is_open: bool) -> Any:
    """Any JSON as it is: finite, and not too deep."""
    if type(value) is str:
        return value
    layer = [value]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for item in layer:
            kind = type(item)
            if kind is dict:
                inner += item.values()
            elif kind is list:
                inner += item
            elif kind in _LARGEST:
                _decode_number(kind, _LARGEST[kind], item, where, False)
        if not inner:
            return value
        layer = inner
    raise ValueError(f"{where} is nested more than {DEEPEST} times")


class _Member(typing.NamedTuple):
    decode: Callable[[Any, str, bool], Any]
    is_required: bool
    is_open: bool


@cache
def _members(kind: Any) -> Mapping[str, _Member]:
    """The members of a record: to resolve its annotations takes longer than to decode it."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {
        entry.name: _Member(
            decode=_decoder(hints[entry.name]),
            is_required=entry.default is MISSING and entry.default_factory is MISSING,
            is_open=bool(entry.metadata.get("open")),
        )
        for entry in fields(kind)
    }


def _decode_record(kind: Any, value: Any, where: str, is_open: bool) -> Any:
    given = _typed(dict, value, where)
    known = _members(kind)
    missing, unknown = [], []
    if given.keys() != known.keys():
        missing = [name for name, member in known.items() if name not in given and member.is_required]
        unknown = [] if is_open else [name for name in given if name not in known]
    problems = [
        f"{what} {shown(', '.join(names), plain=True)}"
        for what, names in (("missing member", missing), ("unknown member", unknown))
        if names
    ]
    if problems:
        raise ValueError(f"{where}: {'; '.join(problems)}")
    values = {
        name: member.decode(given[name], f"{where}.{name}", is_open or member.is_open)
        for name, member in known.items()
        if name in given
    }
    try:
        return kind(**values)
    except (ValueError, IsobenchError) as error:  # a record that checks its own values
        raise ValueError(f"{where}: {error}") from None


def _decode_optional(decoded: Callable[[Any, str, bool], Any], value: Any, where: str, is_open: bool) -> Any:
    return None if value is None else decoded(value, where, is_open)


def _decode_union(options: list[Any], value: Any, where: str, is_open: bool) -> Any:
    if isinstance(value, dict):  # records of several kinds say which they are
        status = value.get("status")
        options = [kind for kind in options if is_dataclass(kind) and status == _default(kind, "status")]
        if not options:
            raise ValueError(f"{where}.status is {shown(status)}")
    return _decoder(options[0])(value, where, is_open)


def _decode_member(kind: type[Enum], value: Any, where: str, _is_open: bool) -> Enum:
    try:
        return kind(value)
    except ValueError:
        words = ", ".join(str(one.value) for one in kind)
        raise ValueError(f"{where} must be one of {words}, got {shown(value)}") from None


def _default(kind: Any, name: str) -> Any:
    return next((entry.default for entry in fields(kind) if entry.name == name), None)


def _typed(kind: type, value: Any, where: str) -> Any:
    # A bool is an int to Python, not to a schema.
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ValueError(f"{where} must be {kind.__name__}, got {type(value).__name__}")
    return value


def decode_document(kind: Any, value: Any, where: str) -> Any:
    """The record of a whole file, whose member `schema` must be the record's own.

    Raises:
        ValueError: it is no object, has another schema, or doesn't match it.
    """
    schema = _default(kind, "schema")
    _typed(dict, value, where)
    if value.get("schema") != schema:
        raise ValueError(f"{where}.schema must be {schema}, got {shown(value.get('schema'))}")
    return decode(kind, dict(value), where)


def encode(value: Any) -> Any:
    """Records as JSON values: dataclasses as objects, tuples as lists, paths as text. `decode` is the inverse."""
    if is_dataclass(value) and not isinstance(value, type):
        return {entry.name: encode(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): encode(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return str(value) if isinstance(value, Path) else value
