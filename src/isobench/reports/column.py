"""What a column and a row of a report are; `columns` declares the columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isobench.results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One Result, with what its columns are made of besides.

    `baseline_s` is the baseline's median latency in seconds, None where that is unknown; `folder` holds the Result.
    """

    result: Result
    baseline_s: float | None = None
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. `get` returns its value, None where it is unknown or doesn't apply.

    `name` is its name in the CSV, `heading` its heading in tables; either is "" where it has none. `about` is its line
    in the documentation, `unit` that of the printed value. `table` and `csv` print a value; `left` aligns it in tables.
    """

    about: str
    get: Callable[[Row], Any]
    name: str = ""
    heading: str = ""
    unit: str = ""
    table: Callable[[Any], str] = str
    csv: Callable[[Any], object] = lambda value: value
    left: bool = False

    def cell(self, row: Row) -> str:
        """The value as tables print it."""
        value = self.get(row)
        return "-" if value is None else self.table(value)

    def field(self, row: Row) -> object:
        """The value as the CSV holds it."""
        value = self.get(row)
        return "" if value is None else self.csv(value)
