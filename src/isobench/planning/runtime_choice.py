"""RuntimeChoice: a runtime as the user chose it, with its own environment and arguments: `ort@mine:spinning=false`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from isobench.errors import UsageError
from isobench.record import record

HINT = "Write it NAME, NAME@ENVIRONMENT, or NAME:ARGUMENT=VALUE,ARGUMENT=VALUE; a list is ARGUMENT=[1,2]."


@record(frozen=True, slots=True, kw_only=True)
class RuntimeChoice:
    """The name of a runtime, the environment that replaces its own ("": none does), and arguments for this use of it.

    Arguments are text, lists of text, or True where only a name is given; the runtime converts them. From Python they
    may be values already.
    """

    name: str
    environment: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> RuntimeChoice:
        """The choice that `NAME[@ENVIRONMENT][:ARGUMENT=VALUE,...]` stands for; `str` is the inverse.

        Raises:
            UsageError: it isn't of that form, or an argument is given twice.
        """
        chosen, colon, listed = text.partition(":")
        name, at, environment = chosen.partition("@")
        if not name or (at and not environment) or (colon and not listed):
            raise UsageError(f"runtime {text!r} is incomplete", hint=HINT)
        arguments: dict[str, Any] = {}
        for word in _split(listed):
            key, equals, value = word.partition("=")
            key = key.strip().replace("-", "_")
            if not key.isidentifier() or (equals and not value):
                raise UsageError(f"runtime {text!r}: {word!r} is not ARGUMENT=VALUE", hint=HINT)
            if key in arguments:
                raise UsageError(f"runtime {text!r}: argument {key!r} is given twice", hint=HINT)
            arguments[key] = _value(value) if equals else True
        return cls(name=name, environment=environment, arguments=arguments)

    def __str__(self) -> str:
        """The choice as the user would type it: the label of its results."""
        name = f"{self.name}@{self.environment}" if self.environment else self.name
        words = [key if value is True else f"{key}={_text(value)}" for key, value in self.arguments.items()]
        return f"{name}:{','.join(words)}" if words else name


def _split(text: str) -> list[str]:
    """The parts between commas that are outside brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts if text else []


def _value(text: str) -> str | list[str]:
    if not (text.startswith("[") and text.endswith("]")):
        return text
    return [part.strip() for part in text[1:-1].split(",")] if text[1:-1].strip() else []


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
