"""Results as CSV: one row for each Result, so that two runtimes never share one. `columns.CSV` declares the columns.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula. So a text that does gets a leading
apostrophe, and so does one that begins with an apostrophe: a program takes the first one off. Numbers stay numbers.
Control characters are escapes, as in tables.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self, TextIO

from isobench import results
from isobench.errors import ResultError
from isobench.escapes import printable
from isobench.reports import columns
from isobench.reports.column import Line
from isobench.results import row
from isobench.results.index import Index, Report
from isobench.results.wanted import Wanted

FORMULA = frozenset("=+-@'\uff1d\uff0b\uff0d\uff20")
"""With which a formula begins, also in full width; and the apostrophe that says that there is none."""


class Source:
    """The Results in folders of results (or in a Result's own folder), each once, in the order of the folders.

    Only those that are `wanted` count, and of each folder the newest `limit` (0: all). Use it with `with`.

    Raises:
        ResultError: one of the folders holds no result.
    """

    def __init__(
        self,
        places: Sequence[Path],
        wanted: Wanted | None = None,
        *,
        limit: int = 0,
        progress: Report | None = None,
    ) -> None:
        self._several = len(places) > 1
        self._wanted, self._limit = wanted or Wanted(), limit
        self._open = ExitStack()
        self._indexes = [self._open.enter_context(self._index(place, progress)) for place in places]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def stats(self) -> list[str]:
        """The names of the figures that runtimes saved themselves."""
        return sorted({name for index in self._indexes for name in index.stats(self._wanted)})

    def lines(self) -> Iterator[Line]:
        """A line for each Result, the oldest of a folder first; one that can't be read has a line that says so."""
        seen: set[str] = set()
        for index in self._indexes:
            root = os.path.realpath(index.root)
            for name in reversed(index.names(self._wanted, limit=self._limit)):
                folder = os.path.realpath(f"{root}/{name}") if self._several else f"{root}/{name}"
                if folder in seen:
                    continue
                if self._several:
                    seen.add(folder)
                yield _line(Path(folder), name)

    @staticmethod
    def _index(place: Path, progress: Report | None) -> Index:
        if (place / results.RESULT_FILE).exists():
            place = place.resolve()
            return Index(place.parent, only=[place.name])
        index = Index(place, progress)
        if not index.count():
            index.close()
            raise ResultError(f"no results in {place}", hint="isobench run --output FOLDER writes results there.")
        return index


def _line(folder: Path, name: str) -> Line:
    try:
        return Line.of(results.load(str(folder / results.RESULT_FILE)), folder=folder)
    except ResultError as error:
        return Line(brief=row.unreadable(name, error), folder=folder)


def write(source: Source, stream: TextIO, on_line: Callable[[Line], object] | None = None) -> None:
    """Write the table with its header. The last columns are the figures that runtimes saved themselves.

    One Result at a time is in memory; `on_line` is called with each line.
    """
    every = [*columns.CSV, *(columns.stat(name) for name in source.stats())]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([cell(column.name) for column in every])
    for line in source.lines():
        if on_line:
            on_line(line)
        writer.writerow([cell(column.field(line)) for column in every])


def cell(value: object) -> object:
    """The value as the CSV holds it: a number as it is, anything else as text that is no formula and can be printed."""
    if isinstance(value, int | float):
        return value
    text = str(value)
    is_formula = text.lstrip()[:1] in FORMULA or text[:1] in {"\t", "\r"}
    return printable(f"'{text}" if text and is_formula else text)
