"""Hypothesis strategies for the JSON of records, from their own annotations: what may be, and accidents to it."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from hypothesis import strategies as st

from isobench import codec
from isobench.constraints import InZone, OneOf, Within
from isobench.errors import UsageError
from isobench.planning.settings import OPTIONS
from isobench.results.records import FIGURES

NASTY = (
    "",
    " ",
    "\x1b]0;owned\x07\x1b[2J",
    "=cmd|' /C calc'!A0",
    "-2+3",
    "a\nb\r\nc\td",
    "\u202egnp.exe",
    "\u200b\ufeff\u2028",
    "\udcff\ud800",
    "\x00",
    "../../etc/passwd",
    "/dev/zero",
    "x" * 300,
    "x" * 5000,
    "NaN",
    "1e999",
    "\u00b2",
)
TEXTS = st.one_of(st.sampled_from(NASTY), st.text(max_size=12), st.text(alphabet="abc.-_1", min_size=1, max_size=8))
FLOATS = st.one_of(
    st.sampled_from((0.0, 1.0, 5e-324, 1e-9, 0.5, 1e308, 1.7e308)),
    st.floats(min_value=1e-9, max_value=1e3, allow_nan=False),
    st.floats(allow_nan=False, allow_infinity=False),
)
INTS = st.one_of(
    st.integers(0, 9), st.sampled_from((0, 1, 2**31, 2**53, 2**63 - 1)), st.integers(-(2**63) + 1, 2**63 - 1)
)
TIMES = st.sampled_from(
    (
        "2026-01-01T00:00:00.000+00:00",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59.999-23:59",
        "2026-02-03T04:05:06Z",
    )
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), INTS, FLOATS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
ODD = st.one_of(
    st.sampled_from(
        (None, True, -1, 0, 1.5, -0.0, "", "x", [], {}, [[]], math.nan, math.inf, -math.inf, 10**400, -(2**63), 2**64)
    ),
    JSON,
)
"""What may stand in a file where something else belongs."""

_RELATED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}


def _related(name: str) -> Callable[[Callable[[dict[str, Any]], None]], None]:
    """Declares how the members of a record of that name are made to fit each other."""

    def declare(change: Callable[[dict[str, Any]], None]) -> None:
        def changed(value: dict[str, Any]) -> dict[str, Any]:
            change(value)
            return value

        _RELATED[name] = changed

    return declare


@_related("Summary")
def _summary(value: dict[str, Any]) -> None:
    names = ("min_s", "p50_s", "p90_s", "p95_s", "p99_s", "max_s")
    value.update(zip(names, sorted(value[name] for name in names), strict=True))


@_related("Interval")
def _interval(value: dict[str, Any]) -> None:
    value["low"], value["high"] = sorted((value["low"], value["high"]))


@_related("Run")
def _run(value: dict[str, Any]) -> None:
    value["used"] = [place % 2 == 0 for place, _ in enumerate(value["blocks"])]
    value["samples_file"] = "run-1/samples.bin"
    value["threads"].pop("requested", None)


@_related("Measured")
def _measured(value: dict[str, Any]) -> None:
    within = {"low": value["latency"]["min_s"], "high": value["latency"]["max_s"]}
    value["intervals"] = {**value["intervals"], **dict.fromkeys(FIGURES, within)}


@_related("Warmup")
def _warmup(value: dict[str, Any]) -> None:
    value["curve"] = [[place, 0.5] for place, _ in enumerate(value["curve"])]


@cache
def of(kind: Any) -> st.SearchStrategy[Any]:
    """The JSON values that a record of this type (or any annotation) may have."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return JSON
    if origin is Annotated:
        return _within(arguments[0], arguments[1])
    if is_dataclass(kind):
        return _record(kind)
    if origin in {types.UnionType, typing.Union}:
        return st.one_of(*(of(argument) for argument in arguments))
    if origin is tuple:
        return st.lists(of(arguments[0]), max_size=3)
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(TEXTS, of(arguments[1]), max_size=3)
    if issubclass(kind, Enum):
        return st.sampled_from([one.value for one in kind])
    plain: dict[Any, st.SearchStrategy[Any]] = {
        types.NoneType: st.none(),
        bool: st.booleans(),
        int: INTS,
        float: FLOATS,
        str: TEXTS,
        Path: TEXTS,
    }
    return plain[kind]


def _within(kind: Any, check: Any) -> st.SearchStrategy[Any]:
    if isinstance(check, OneOf):
        return st.sampled_from(check.words)
    if isinstance(check, InZone):
        return TIMES
    assert isinstance(check, Within)
    return of(kind).map(abs).map(lambda value: value if not check(value) else 1 if kind is int else 1.0)


def _record(kind: Any) -> st.SearchStrategy[dict[str, Any]]:
    hints = typing.get_type_hints(kind, include_extras=True)
    members = {}
    for entry in fields(kind):
        if entry.name == "schema":
            members[entry.name] = st.just(entry.default)
        elif "unset" in entry.metadata:
            members[entry.name] = _setting(entry, hints[entry.name])
        elif entry.name == "phase_timeouts_s":
            members[entry.name] = st.sampled_from(({}, {"compile": 1.0}))
        elif entry.name == "runs":
            members[entry.name] = st.lists(of(typing.get_args(hints["runs"])[0]), min_size=1, max_size=2)
        else:
            members[entry.name] = of(hints[entry.name])
    made: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(members)
    return made.map(_RELATED[kind.__name__]) if kind.__name__ in _RELATED else made


def _setting(entry: Any, hint: Any) -> st.SearchStrategy[Any]:
    """A value of an option: its default, its limits, or another that is allowed."""
    option = OPTIONS[entry.name]
    tried = (option.default, entry.default, option.least, option.most, 1, 1.0, 0.5, (), *option.choices, True)
    allowed = []
    for value in tried:
        plain = list(value) if isinstance(value, tuple) else value
        with suppress(UsageError, ValueError):
            option.check(codec.decode(hint, plain, entry.name))
            allowed.append(plain)
    return st.sampled_from(allowed)


@st.composite
def broken(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value after one to three accidents: a part that is another value, gone, there twice, or moved."""
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            return draw(ODD)
        outer, name = draw(st.sampled_from(places))
        accident = draw(st.sampled_from(("odd", "odd", "gone", "twice", "swapped")))
        if accident == "odd":
            outer[name] = draw(ODD)
        elif accident == "gone":
            del outer[name]
        elif accident == "twice" and isinstance(outer, list):
            outer.insert(name, outer[name])
        else:
            other, its = draw(st.sampled_from(places))
            outer[name] = _copied(other[its])
    return value


def _places(value: Any) -> typing.Iterator[tuple[Any, Any]]:
    names = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for name in names:
        yield value, name
        yield from _places(value[name])


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
