"""The forms of tables in a suite file: with known keys, with keys of the user's own, and with axes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from isobench.planning.suite import Axis
from isobench.planning.suite_forms import Form, Json, Problems, Scalar, Several, named
from isobench.planning.suite_values import shown
from isobench.planning.toml_lines import Place
from isobench.record import record

AXES = "axes"
"""The key of the axes among what `Record.read` returns."""


@record(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of a table: its name, what its value may be, and what it means."""

    name: str
    form: Form
    about: str
    required: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table with keys of the user's own, whose values have one form.

    `argument`: the keys are arguments of a runtime, where `-` stands for `_`.
    """

    form: Form
    wanted: str = "a table"
    argument: bool = False

    def read(self, value: Any, place: Place, problems: Problems) -> dict[str, Any] | None:
        """The values by key."""
        if not isinstance(value, Mapping):
            problems.must_be(place, self.wanted, value)
            return None
        found: dict[str, Any] = {}
        for key, inner in value.items():
            name = key.replace("-", "_") if self.argument else key
            where = (*place, key)
            if not name.strip() or (self.argument and not name.isidentifier()):
                problems.add(where, f"{named(place)} has a key that can't be a name: {shown(key)}")
            elif name in found:
                problems.add(where, f"{named(where)} is given twice: - and _ are the same in names of arguments")
            else:
                found[name] = self.form.read(inner, where, problems)
        return found

    def schema(self) -> Json:
        return {"type": "object", "additionalProperties": self.form.schema()}


@dataclass(frozen=True, slots=True)
class Axes:
    """A table of axes, each with its values, or one value. `ort.spinning` may be written plainly, as a nested table."""

    def read(self, value: Any, place: Place, problems: Problems) -> dict[str, Axis] | None:
        """The axes by name."""
        if not isinstance(value, Mapping):
            problems.must_be(place, "a table of axes such as { batch = [1, 8] }", value)
            return None
        found: dict[str, Axis] = {}
        for name, inner, where in _flat(value, place):
            if not re.fullmatch(_AXIS, name):
                problems.add(where, f"{shown(name)} can't be the name of an axis: use letters, digits, - and _")
            values = Several(Scalar(), "value").read(inner, where, problems)
            if values and name in found:
                problems.add(where, f"the axis {name} is given twice")
            elif values:
                found[name] = Axis(name=name, values=values, place=where)
        return found

    def schema(self) -> Json:
        one = Scalar(lists=False).schema()
        several = {"type": "array", "items": Scalar().schema(), "minItems": 1}
        nested = {"type": "object", "additionalProperties": {"anyOf": [one, several]}}
        return {"type": "object", "additionalProperties": {"anyOf": [one, several, nested]}}


_AXIS = r"[^\W\d][\w-]*(?:@[\w.-]+)?(?:\.[\w-]+)?"


def _flat(value: Mapping[str, Any], place: Place, prefix: str = "") -> Iterator[tuple[str, Any, Place]]:
    """The values in a table by their dotted keys, each with its place."""
    for key, inner in value.items():
        if isinstance(inner, Mapping) and not prefix:
            yield from _flat(inner, (*place, key), f"{key}.")
        else:
            yield f"{prefix}{key}", inner, (*place, key)


@dataclass(frozen=True, slots=True)
class Record:
    """A table with known keys. `axes`: all other keys are axes.

    `hints`: where keys belong that don't belong here; `further`: keys that are allowed, but read by others.
    """

    keys: tuple[Key, ...]
    axes: bool = False
    hints: Mapping[str, str] = field(default_factory=dict)
    further: tuple[str, ...] = ()

    def read(self, value: Any, place: Place, problems: Problems) -> dict[str, Any] | None:
        """The values by key; those that are missing are left out."""
        if not isinstance(value, Mapping):
            problems.must_be(place, f"a table with the keys {', '.join(key.name for key in self.keys)}", value)
            return None
        known = {key.name: key for key in self.keys}
        others = {name: inner for name, inner in value.items() if name not in known}
        for name in [] if self.axes else others:
            hint = self.hints.get(name.replace("_", "-"), "")
            problems.add((*place, name), unknown_key(name, [*known, *self.further], is_close=not hint), hint)
        for key in self.keys:
            if key.required and key.name not in value:
                what = named(place) or "the suite"
                problems.add(place, f"{what} has no {key.name!r}", f"{key.name}: {key.about}")
        found = {
            name: known[name].form.read(inner, (*place, name), problems)
            for name, inner in value.items()
            if name in known
        }
        return found | ({AXES: Axes().read(others, place, problems)} if self.axes else {})

    def schema(self) -> Json:
        found: Json = {
            "type": "object",
            "properties": {key.name: described(key) for key in self.keys},
            "additionalProperties": Axes().schema()["additionalProperties"] if self.axes else False,
        }
        required = [key.name for key in self.keys if key.required]
        return found | ({"required": required} if required else {})


@dataclass(frozen=True, slots=True)
class TextOr:
    """A text, or a table."""

    text: Form
    table: Form

    def read(self, value: Any, place: Place, problems: Problems) -> Any:
        return (self.table if isinstance(value, Mapping) else self.text).read(value, place, problems)

    def schema(self) -> Json:
        return {"anyOf": [self.text.schema(), self.table.schema()]}


def described(key: Key) -> Json:
    """A key's schema with its description and default."""
    found = {"description": key.about, **key.form.schema()}
    return found | ({"default": key.default} if key.default is not None else {})


def unknown_key(key: str, known: list[str], *, is_close: bool = True) -> str:
    """The message for a key that isn't known; where one `is_close`, it is named: another case, or _ for -, too."""
    from isobench.system.names import did_you_mean

    plain = key.lower().replace("_", "-")
    meant = f"; did you mean {plain}?" if plain in known else did_you_mean(plain, known)
    return f"unknown key {shown(key)}{meant if is_close else ''}; the keys are {', '.join(known)}"
