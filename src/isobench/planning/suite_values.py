"""Values of a suite: text with `{axis}` in it, settings as they are written, and values in words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from isobench.errors import UsageError
from isobench.planning.setting_values import READERS
from isobench.planning.settings import Option

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def axes_in(text: str) -> list[str]:
    """The axes that a text uses: `--batch {batch}` uses `batch`; `{{` and `}}` stand for a brace.

    Raises:
        ValueError: a brace stands alone, or encloses nothing.
    """
    found = []
    for match in _PART.finditer(text):
        if match[0] in {"{", "}"} or (match[1] is not None and not match[1].strip()):
            raise ValueError(f"has a single {match[0]!r}; write {{axis}}, or {{{{ and }}}} for braces")
        if match[1] is not None:
            found.append(match[1].strip())
    return found


def has_axis(value: Any) -> bool:
    """Is it a text that uses an axis, or that has a brace in it?"""
    return isinstance(value, str) and ("{" in value or "}" in value)


def filled(text: str, values: Mapping[str, Any]) -> Any:
    """A text with the values of its axes; a text that is `{axis}` and nothing else is that axis' own value.

    Raises:
        KeyError: an axis has no value.
        ValueError: the value of an axis is a list, and the text is more than the axis.
    """
    whole = _PART.fullmatch(text)
    if whole and whole[1] is not None:
        return values[whole[1].strip()]

    def part(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        value = values[match[1].strip()]
        if isinstance(value, tuple):
            raise ValueError(f"uses {match[0]}, whose value is the list {shown(value)}")  # noqa: TRY004
        return as_text(value)

    return _PART.sub(part, text)


def as_text(value: Any) -> str:
    """A value as the words of a command have it: 8, 0.5, true, text; a list as 1,2."""
    if isinstance(value, list | tuple):
        return ",".join(map(as_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown(value: Any) -> str:
    """A value as TOML has it, or what it is in words."""
    if isinstance(value, bool):
        return as_text(value)
    if isinstance(value, str):
        text = value if len(value) <= 60 else f"{value[:57]}..."
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return "a table"
    return str(value) if isinstance(value, int | float) else f"the date or time {value}"


def is_same(one: Any, other: Any) -> bool:
    """Are two values of an axis equal? 1 is equal to 1.0, but not to true."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def setting(option: Option, value: Any, *, is_made: bool = False) -> Any:
    """The value of an option, as a suite writes it; `is_made`: of a text with axes in it, which may be digits.

    Percentages are "1%" or 0.01; lists are [0, 1], "0-3,8", or one number.

    Raises:
        UsageError: it isn't allowed; the message begins with the option's name.
    """
    try:
        value = _of_kind(option, value, is_made=is_made)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"must be finite, got {value}")
        option.check(value)
    except ValueError as error:
        raise UsageError(f"{name(option)} {error}") from None
    except UsageError as error:
        raise UsageError(error.message.removeprefix("--"), hint=error.hint) from None
    return value


def name(option: Option) -> str:
    """The option's name in a suite: `min-time`."""
    return option.flag.removeprefix("--")


def _of_kind(option: Option, value: Any, *, is_made: bool) -> Any:
    if isinstance(value, str) and option.kind in READERS:
        return READERS[option.kind](value)
    if option.kind == "list":
        return tuple(value) if isinstance(value, list | tuple) else (value,)
    if not isinstance(value, str) or option.kind == "choice":
        return value
    if is_made:
        for read in {"integer": (int,), "seconds": (int, float)}.get(option.kind, ()):
            try:
                return read(value)
            except ValueError:
                continue
        return {"true": True, "false": False}.get(value, value) if option.kind == "switch" else value
    return value
