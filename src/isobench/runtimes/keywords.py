"""The arguments of a runtime: the keywords of its `__init__`, and text converted by their annotations.

The options of tools work in the same way. Text is converted to int, float, bool, str, Path, one of a Literal, or a list
or tuple of these; `none` to None where that is allowed. A value that has the type already stays as it is.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from isobench.errors import UsageError
from isobench.record import record

BOOLS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_NOTHING = inspect.Parameter.empty


@record(frozen=True, slots=True, kw_only=True)
class Keyword:
    """One argument: `kind` is its type, Any without an annotation; `default` is `Parameter.empty` if it has none."""

    name: str
    kind: Any
    default: Any

    def __str__(self) -> str:
        notes = [] if self.kind is Any else [type_name(self.kind)]
        notes += [] if self.default is _NOTHING else [f"default {self.default!r}"]
        return f"{self.name} ({'; '.join(notes)})" if notes else self.name


@cache
def keywords(takes: Callable[..., Any]) -> tuple[tuple[Keyword, ...], bool]:
    """The keywords of a class or a function, and whether it takes any other keyword as well."""
    target = takes.__init__ if isinstance(takes, type) else takes  # type: ignore[misc] # a class's own, not an instance's
    try:
        hints = typing.get_type_hints(target)
    except (NameError, TypeError):  # names that exist for type checkers only
        hints = {}
    declared = hasattr(takes, "__signature__")  # its annotations are types, not their names
    found, open_ended = [], False
    for parameter in inspect.signature(takes).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            open_ended = True
        elif parameter.kind in {parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD}:
            kind = parameter.annotation if declared else hints.get(parameter.name, Any)
            found.append(Keyword(name=parameter.name, kind=kind, default=parameter.default))
    return tuple(found), open_ended


def from_words(words: Iterable[str]) -> dict[str, Any]:
    """`name::value`, `name::[value,value]` and `name` as a dictionary of text, lists of text and True.

    Raises:
        UsageError: a word is none of these, or a name is given twice.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, separator, text = word.partition("::")
        key = name.replace("-", "_")
        if not key.isidentifier() or (separator and not text):
            raise UsageError(f"{word!r} is not an argument", hint="Write it NAME::VALUE, NAME::[VALUE,VALUE], or NAME.")
        if key in found:
            raise UsageError(f"the argument {key!r} is given twice", hint="Several values are a list: NAME::[1,2].")
        found[key] = _text_or_list(text) if separator else True
    return found


def _text_or_list(text: str) -> str | list[str]:
    if text.startswith("[") and text.endswith("]"):
        return [part.strip() for part in text[1:-1].split(",")] if text[1:-1].strip() else []
    return text


def bind(takes: Callable[..., Any], given: Mapping[str, Any], *, who: str, but: Sequence[str] = ()) -> dict[str, Any]:
    """`given`, converted to the types of the keywords of `takes` (without those in `but`).

    Raises:
        UsageError: a name is unknown, a value has the wrong type, or one is missing; the hint lists the keywords.
    """
    found, open_ended = keywords(takes)
    known = {keyword.name: keyword for keyword in found if keyword.name not in but}
    hint = f"Its arguments are: {', '.join(map(str, known.values()))}." if known else "It has no arguments."
    values = {}
    for name, value in given.items():
        if name not in known:
            if not open_ended:
                from isobench.system.names import did_you_mean

                raise UsageError(f"{who} has no argument {name!r}{did_you_mean(name, known)}", hint=hint)
            values[name] = value
            continue
        try:
            values[name] = converted(value, known[name].kind)
        except ValueError as error:
            raise UsageError(f"{who}: {name} {error}", hint=hint) from None
    missing = [name for name, keyword in known.items() if keyword.default is _NOTHING and name not in values]
    if missing:
        raise UsageError(f"{who} needs the argument {' and '.join(missing)}", hint=hint)
    return values


def converted(value: Any, kind: Any) -> Any:
    """`value`, converted to `kind`.

    Raises:
        ValueError: it can't be; the message continues after the argument's name.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object:
        return value
    if origin in {typing.Union, types.UnionType}:
        return _one_of_several(value, inner, kind)
    if origin is Literal:
        for option in inner:
            if value == option or (isinstance(value, str) and value == str(option)):
                return option
        raise ValueError(f"must be {type_name(kind)}, got {value!r}")
    if kind in {list, tuple} or origin in {list, tuple} or _is_sequence(origin):
        return _several(value, origin or kind, inner, kind)
    if isinstance(value, list | tuple):
        raise ValueError(f"must be one {type_name(kind)}, got a list")  # noqa: TRY004 - as for every wrong value
    return _single(value, kind)


def type_name(kind: Any) -> str:
    """A type in words: `int`, `one of all, basic`, `list of int`, `float or none`."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is types.NoneType:
        return "none"
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(map(type_name, inner))
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is not None and inner:
        return f"list of {' and '.join(dict.fromkeys(type_name(part) for part in inner if part is not ...))}"
    return str(getattr(kind, "__name__", kind))


def _one_of_several(value: Any, kinds: tuple[Any, ...], kind: Any) -> Any:
    if types.NoneType in kinds and (value is None or (isinstance(value, str) and value.lower() == "none")):
        return None
    # Text last, because everything is text.
    for option in sorted((one for one in kinds if one is not types.NoneType), key=lambda one: one is str):
        try:
            return converted(value, option)
        except ValueError:
            continue
    raise ValueError(f"must be {type_name(kind)}, got {value!r}")


def _several(value: Any, origin: Any, inner: tuple[Any, ...], kind: Any) -> Any:
    values = list(value) if isinstance(value, list | tuple) else [value]
    fixed = origin is tuple and inner and inner[-1] is not ...
    if fixed and len(values) != len(inner):
        raise ValueError(f"must have {len(inner)} values, got {len(values)}")
    kinds = inner if fixed else [inner[0] if inner else Any] * len(values)
    try:
        made = [converted(one, wanted) for one, wanted in zip(values, kinds, strict=True)]
    except ValueError:
        raise ValueError(f"must be a {type_name(kind)}, got {value!r}") from None
    return tuple(made) if origin is tuple else made


def _single(value: Any, kind: Any) -> Any:
    if value is True and kind is not bool:
        raise ValueError(f"must be {type_name(kind)}, got no value")
    if isinstance(value, str) and kind is not str:
        value = _from_text(value, kind)
    if kind is float and type(value) is int:
        value = float(value)
    if not isinstance(kind, type) or not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"must be {type_name(kind)}, got {value!r}")
    return value


def _from_text(text: str, kind: Any) -> Any:
    if kind is bool:
        return BOOLS.get(text.lower(), text)
    if kind in {int, float, Path}:
        try:
            return kind(text)
        except ValueError:
            return text
    return text


def _is_sequence(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Sequence)
