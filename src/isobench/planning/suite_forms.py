"""The forms of values in a suite file: what each may be, how it is read, and its JSON Schema.

A form's `read` returns the value in one shape (a single text where a list is allowed as a tuple of one), and reports
what is wrong to `Problems` with its place.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from isobench.errors import UsageError
from isobench.planning import suite_values
from isobench.planning.settings import Option
from isobench.planning.suite import Axis
from isobench.planning.suite_values import shown
from isobench.planning.toml_lines import Place

Json = dict[str, Any]

AXES = "axes"
"""The key of the axes among what `Record.read` returns."""


@dataclass(slots=True)
class Problems:
    """What is wrong with a file: places, messages and hints."""

    found: list[tuple[Place, str, str]] = field(default_factory=list)

    def add(self, place: Place, message: str, hint: str = "") -> None:
        self.found.append((place, message, hint))

    def must_be(self, place: Place, wanted: str, value: Any, hint: str = "") -> None:
        """A value that has the wrong form."""
        self.add(place, f"{named(place)} must be {wanted}, got {shown(value)}", hint)


def named(place: Place) -> str:
    """What stands at a place, as the user would call it: `dim.batch`, `models[2].path` (counted from 1)."""
    text = ""
    for part in place:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class Form(Protocol):
    """What a value may be."""

    def read(self, value: Any, place: Place, problems: Problems) -> Any:
        """The value as records have it; None, and a problem, if it isn't allowed."""

    def schema(self) -> Json:
        """The JSON Schema of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of a table: its name, what its value may be, and what it means."""

    name: str
    form: Form
    about: str
    required: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class Text:
    """A text; an integer is taken for its digits. `pattern` is a regular expression, `wanted` says it in words."""

    wanted: str = "text"
    pattern: str = ""

    def read(self, value: Any, place: Place, problems: Problems) -> str | None:
        if type(value) is int:
            value = str(value)
        if not isinstance(value, str):
            scalar = isinstance(value, int | float)
            hint = f'Put it into quotes, spelled as you mean it: "{shown(value)}".' if scalar else ""
            problems.must_be(place, self.wanted, value, hint)
            return None
        if "\0" in value or (self.pattern and not re.fullmatch(self.pattern, value)):
            problems.must_be(place, self.wanted, value)
            return None
        return value

    def schema(self) -> Json:
        return (
            {"type": "string", "pattern": f"^(?:{self.pattern})$"} if self.pattern else {"type": ["string", "integer"]}
        )


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer of at least `least`; where `fills`, also a text with an axis in it."""

    least: int = 0
    fills: bool = False

    def read(self, value: Any, place: Place, problems: Problems) -> int | str | None:
        if self.fills and suite_values.has_axis(value):
            return str(value)
        if type(value) is not int or value < self.least:
            other = ' or text with an axis such as "{batch}"' if self.fills else ""
            problems.must_be(place, f"an integer of at least {self.least}{other}", value)
            return None
        return value

    def schema(self) -> Json:
        number = {"type": "integer", "minimum": self.least}
        return {"anyOf": [number, _WITH_AXIS]} if self.fills else number


_WITH_AXIS: Json = {"type": "string", "pattern": "\\{.+\\}"}


@dataclass(frozen=True, slots=True)
class Switch:
    """true or false."""

    def read(self, value: Any, place: Place, problems: Problems) -> bool | None:
        if not isinstance(value, bool):
            problems.must_be(place, "true or false", value)
            return None
        return value

    def schema(self) -> Json:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    def read(self, value: Any, place: Place, problems: Problems) -> str | None:
        if value not in self.words:
            problems.must_be(place, " or ".join(map(shown, self.words)), value)
            return None
        return str(value)

    def schema(self) -> Json:
        return {"enum": list(self.words)} if len(self.words) > 1 else {"const": self.words[0]}


@dataclass(frozen=True, slots=True)
class Several:
    """A list of values of a form; a single value is a list of one."""

    form: Form
    wanted: str

    def read(self, value: Any, place: Place, problems: Problems) -> tuple[Any, ...] | None:
        if not isinstance(value, list):
            return (self.form.read(value, place, problems),)
        if not value:
            problems.add(place, f"{named(place)} is empty: it must have at least one {self.wanted}, or be left out")
        return tuple(self.form.read(one, (*place, count), problems) for count, one in enumerate(value))

    def schema(self) -> Json:
        inner = self.form.schema()
        return {"anyOf": [inner, {"type": "array", "items": inner, "minItems": 1}]}


@dataclass(frozen=True, slots=True)
class Words:
    """The arguments of a script: a list of words, or one text that is split as a shell does."""

    def read(self, value: Any, place: Place, problems: Problems) -> tuple[str, ...] | None:
        if isinstance(value, list):
            words = [Text().read(one, (*place, count), problems) for count, one in enumerate(value)]
            return tuple(word for word in words if word is not None)
        if not isinstance(value, str):
            problems.must_be(place, 'text such as "--batch-size 8", or a list of words', value)
            return None
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            problems.add(place, f"{named(place)}: {error} in {shown(value)}", "Close the quotes, or write a list.")
            return None

    def schema(self) -> Json:
        return {"anyOf": [{"type": "string"}, {"type": "array", "items": Text().schema()}]}


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of an input: a list, or a text such as "1,3,224,224"; sizes may be texts with an axis in them."""

    def read(self, value: Any, place: Place, problems: Problems) -> tuple[int | str, ...] | str | None:
        if isinstance(value, str):
            return value
        if not isinstance(value, list):
            problems.must_be(place, "a list of sizes such as [1, 3, 224, 224]", value)
            return None
        return tuple(Integer(fills=True).read(one, (*place, count), problems) or 0 for count, one in enumerate(value))

    def schema(self) -> Json:
        return {"anyOf": [{"type": "string"}, {"type": "array", "items": Integer(fills=True).schema()}]}


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number, text, true or false; where `lists`, also a list of these. Lists are read as tuples."""

    lists: bool = True

    def read(self, value: Any, place: Place, problems: Problems) -> Any:
        if isinstance(value, list) and self.lists:
            return tuple(Scalar(lists=False).read(one, (*place, count), problems) for count, one in enumerate(value))
        if not isinstance(value, bool | int | float | str) or value != value:  # noqa: PLR0124 - nan
            problems.must_be(place, "a number, text, true or false", value)
            return None
        return value

    def schema(self) -> Json:
        plain: Json = {"type": ["number", "string", "boolean"]}
        return {"anyOf": [plain, {"type": "array", "items": plain}]} if self.lists else plain


@dataclass(frozen=True, slots=True)
class OptionValue:
    """The value of a setting; as text it may use an axis."""

    option: Option

    def read(self, value: Any, place: Place, problems: Problems) -> Any:
        if suite_values.has_axis(value):
            return value
        try:
            return suite_values.setting(self.option, value)
        except UsageError as error:
            problems.add(place, error.message, error.hint)
            return None

    def schema(self) -> Json:
        limits = {name: limit for name, limit in _limits(self.option) if limit is not None}
        kinds: dict[str, list[Json]] = {
            "integer": [{"type": "integer", **limits}],
            "seconds": [{"type": "number", **limits}],
            "percent": [{"type": "number", **limits}, {"type": "string", "pattern": "^[0-9.]+%$"}],
            "switch": [{"type": "boolean"}],
            "choice": [{"enum": list(self.option.choices)}],
            "list": [
                {"type": "array", "items": {"type": "integer"}},
                {"type": "integer"},
                {"type": "string", "pattern": "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$"},
            ],
        }
        return {"anyOf": [*kinds[self.option.kind], _WITH_AXIS]}


def _limits(option: Option) -> tuple[tuple[str, float | None], ...]:
    return ("minimum", option.least), ("maximum", option.most)


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
        inner = Several(Scalar(), "value").schema()
        nested = {"type": "object", "additionalProperties": inner}
        return {"type": "object", "additionalProperties": {"anyOf": [*inner["anyOf"], nested]}}


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
    """A table with known keys. `axes`: all other keys are axes."""

    keys: tuple[Key, ...]
    axes: bool = False

    def read(self, value: Any, place: Place, problems: Problems) -> dict[str, Any] | None:
        """The values by key; those that are missing are left out."""
        if not isinstance(value, Mapping):
            problems.must_be(place, f"a table with the keys {', '.join(key.name for key in self.keys)}", value)
            return None
        known = {key.name: key for key in self.keys}
        others = {name: inner for name, inner in value.items() if name not in known}
        for name in [] if self.axes else others:
            problems.add((*place, name), unknown_key(name, list(known)))
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


def unknown_key(key: str, known: list[str]) -> str:
    """The message for a key that isn't known; in another case, or with _ for -, it is recognized."""
    from isobench.system.names import did_you_mean

    plain = key.lower().replace("_", "-")
    meant = f"; did you mean {plain}?" if plain in known else did_you_mean(plain, known)
    return f"unknown key {shown(key)}{meant}; the keys are {', '.join(known)}"
