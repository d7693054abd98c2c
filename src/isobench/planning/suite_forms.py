"""The forms of values in a suite file: what each may be, how it is read, and its JSON Schema.

A form's `read` returns the value in one shape (a single text where a list is allowed as a tuple of one), and reports
what is wrong to `Problems` with its place.
"""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass, field
from typing import Any, Protocol

from isobench.errors import UsageError
from isobench.planning import suite_values
from isobench.planning.settings import Option
from isobench.planning.suite_values import shown
from isobench.planning.toml_lines import Place

Json = dict[str, Any]


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


@dataclass(frozen=True, slots=True)
class Text:
    """A text. `pattern` is a regular expression, `wanted` says it in words.

    Where `digits`, an integer is taken for its digits, and an empty text is allowed. Other numbers, true and false
    must be in quotes: their spelling is lost.
    """

    wanted: str = "text"
    pattern: str = ""
    digits: bool = False

    def read(self, value: Any, place: Place, problems: Problems) -> str | None:
        if self.digits and type(value) is int:
            return str(value)
        if not isinstance(value, str):
            is_scalar = isinstance(value, int | float)
            hint = f'Put it into quotes, spelled as you mean it: "{shown(value)}".' if is_scalar else ""
            problems.must_be(place, self.wanted, value, hint)
            return None
        is_empty = not self.digits and not value.strip()
        if is_empty or "\0" in value or (self.pattern and not re.fullmatch(self.pattern, value)):
            problems.must_be(place, self.wanted, value)
            return None
        return value

    def schema(self) -> Json:
        if self.pattern:
            return {"type": "string", "pattern": f"^(?:{self.pattern})$"}
        return {"type": ["string", "integer"]} if self.digits else {"type": "string", "minLength": 1}


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


_WORD = Text(digits=True)


@dataclass(frozen=True, slots=True)
class Words:
    """The arguments of a script: a list of words, or one text that is split as a shell does."""

    def read(self, value: Any, place: Place, problems: Problems) -> tuple[str, ...] | None:
        if isinstance(value, list):
            words = [_WORD.read(one, (*place, count), problems) for count, one in enumerate(value)]
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
        return {"anyOf": [{"type": "string"}, {"type": "array", "items": _WORD.schema()}]}


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
        if not isinstance(value, bool | int | float | str) or (isinstance(value, float) and not math.isfinite(value)):
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
            "timeout": [{"type": "number", **limits}, {"type": "string", "pattern": "^[0-9a-z.=,+-]+$"}],
            "bytes": [{"type": "integer", **limits}, {"type": "string", "pattern": "^[0-9.]+ *[KMGT]?i?B?$"}],
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
