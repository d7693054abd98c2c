"""Records to JSON and back: every member and its type is checked against the records' own annotations."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache, partial
from pathlib import Path
from typing import Any

from isobench.errors import IsobenchError

OPEN = {"open": True}
"""Metadata of a field whose records are open to additions: members that this version doesn't know are left out."""


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
        return lambda value, _where, _is_open: value
    if is_dataclass(kind):
        return partial(_decode_record, kind)
    if origin in {types.UnionType, typing.Union}:
        return partial(_decode_union, arguments)
    if origin is tuple:
        return partial(_decode_items, arguments[0])
    if origin is not None and issubclass(origin, Mapping):
        return partial(_decode_mapping, arguments[1])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return partial(_decode_member, kind)
    return partial(_decode_plain, kind)


def _decode_items(kind: Any, value: Any, where: str, is_open: bool) -> tuple[Any, ...]:
    items = _typed(list, value, where)
    if kind in {str, int, float} and set(map(type, items)) <= {kind}:  # long ones are
        return tuple(items)
    decoded = _decoder(kind)
    return tuple(decoded(item, f"{where}[{place}]", is_open) for place, item in enumerate(items))


def _decode_mapping(kind: Any, value: Any, where: str, is_open: bool) -> dict[str, Any]:
    decoded = _decoder(kind)
    return {name: decoded(item, f"{where}.{name}", is_open) for name, item in _typed(dict, value, where).items()}


def _decode_plain(kind: Any, value: Any, where: str, _is_open: bool) -> Any:
    if type(value) is kind:
        return value
    if kind is Path:
        return Path(_typed(str, value, where))
    return float(value) if kind is float and type(value) is int else _typed(kind, value, where)


class _Member(typing.NamedTuple):
    decode: Callable[[Any, str, bool], Any]
    is_required: bool
    is_open: bool


@cache
def _members(kind: Any) -> Mapping[str, _Member]:
    """The members of a record: to resolve its annotations takes longer than to decode it."""
    hints = typing.get_type_hints(kind)
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
    missing = [name for name, member in known.items() if name not in given and member.is_required]
    unknown = [] if is_open else [name for name in given if name not in known]
    problems = [
        f"{what} {', '.join(names)}"
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
    except IsobenchError as error:  # a record that checks its own values
        raise ValueError(f"{where}: {error.message}") from None


def _decode_union(kinds: tuple[Any, ...], value: Any, where: str, is_open: bool) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    options = [kind for kind in kinds if kind is not types.NoneType]
    if len(options) > 1 and isinstance(value, dict):  # records of several kinds say which they are
        status = value.get("status")
        options = [kind for kind in options if is_dataclass(kind) and status == _default(kind, "status")]
        if not options:
            raise ValueError(f"{where}.status is {status!r}")
    return _decoder(options[0])(value, where, is_open)


def _decode_member(kind: type[Enum], value: Any, where: str, _is_open: bool) -> Enum:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{where} must be one of {', '.join(str(one.value) for one in kind)}, got {value!r}") from None


def _default(kind: Any, name: str) -> Any:
    return next((entry.default for entry in fields(kind) if entry.name == name), None)


def _typed(kind: type, value: Any, where: str) -> Any:
    # A bool is an int to Python, not to a schema.
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ValueError(f"{where} must be {kind.__name__}, got {type(value).__name__}")
    return value


def decode_document(kind: Any, value: Mapping[str, Any], where: str) -> Any:
    """The record of a whole file, whose member `schema` must be the record's own.

    Raises:
        ValueError: it has another schema, or doesn't match it.
    """
    schema = _default(kind, "schema")
    if value.get("schema") != schema:
        raise ValueError(f"{where}.schema must be {schema}, got {value.get('schema')!r}")
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
