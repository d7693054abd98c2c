"""The lines of a TOML text on which its keys and values stand. `tomllib` gives lines of syntax errors only."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping

Place = tuple[str | int, ...]
"""The way to a value: `("models", 0, "dim", "batch")`."""

_BLANK = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\n]+")
_QUOTED = (
    re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)
"""The four kinds of strings, the longest delimiters first. A multi-line one may end with two quotes of its own."""


def lines(text: str) -> dict[Place, int]:
    """The line, from 1, of each key and of each value of an array, in a text that `tomllib` has parsed.

    A table has the line of its first header or key.
    """
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.found


def line(known: Mapping[Place, int], place: Place) -> int:
    """The line of a place, or of the closest one that contains it; 1 for the whole file."""
    while place and place not in known:
        place = place[:-1]
    return known.get(place, 1)


class _Scanner:
    """Reads valid TOML for its structure only; what a value is, `tomllib` says."""

    def __init__(self, text: str) -> None:
        self.found: dict[Place, int] = {}
        self._text = text
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._tables: dict[Place, int] = {}  # arrays of tables -> the place of the last one

    def document(self) -> None:
        table: Place = ()
        while self._next(_BETWEEN):
            if self._take("[["):
                table = self._header(is_array=True)
            elif self._take("["):
                table = self._header(is_array=False)
            else:
                self._pair(table)

    def _header(self, *, is_array: bool) -> Place:
        """The table that a header opens."""
        began = self._at
        *parents, last = self._keys()
        place: Place = ()
        for key in parents:
            place = self._note((*place, key), began)
            if place in self._tables:
                place = (*place, self._tables[place])
        place = self._note((*place, last), began)
        if is_array:
            self._tables[place] = self._tables.get(place, -1) + 1
            place = self._note((*place, self._tables[place]), began)
        self._at += 2 if is_array else 1
        return place

    def _pair(self, table: Place) -> None:
        began = self._at
        place = table
        for key in self._keys():
            place = self._note((*place, key), began)
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        self._value(place)

    def _keys(self) -> list[str]:
        """The parts of a dotted key; afterwards, this stands at what follows it."""
        keys = []
        while True:
            self._skip(_BLANK)
            quoted = self._quoted()
            keys.append(tomllib.loads(f"key = {quoted}")["key"] if quoted else self._skip(_BARE_KEY))
            self._skip(_BLANK)
            if not self._take("."):
                return keys

    def _value(self, place: Place) -> None:
        if self._take("["):
            self._array(place)
        elif self._take("{"):
            self._inline_table(place)
        elif not self._quoted():
            self._skip(_BARE_VALUE)

    def _array(self, place: Place) -> None:
        count = 0
        while self._next(_BETWEEN) and not self._take("]"):
            self._note((*place, count), self._at)
            self._value((*place, count))
            count += 1
            self._skip(_BETWEEN)
            self._take(",")

    def _inline_table(self, place: Place) -> None:
        while self._next(_BETWEEN) and not self._take("}"):
            self._pair(place)
            self._skip(_BETWEEN)
            self._take(",")

    def _note(self, place: Place, at: int) -> Place:
        self.found.setdefault(place, bisect_right(self._ends, at - 1) + 1 if at else 1)
        return place

    def _quoted(self) -> str:
        """A string with its quotes, which this passes; "" where none stands."""
        for pattern in _QUOTED:
            if text := self._skip(pattern):
                return text
        return ""

    def _next(self, blank: re.Pattern[str]) -> bool:
        """Pass what is blank; is anything left?"""
        self._skip(blank)
        return self._at < len(self._text)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _take(self, text: str) -> bool:
        found = self._text.startswith(text, self._at)
        self._at += len(text) if found else 0
        return found
