"""What a column and a line of a report are; `columns` declares the columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from isobench.record import record
from isobench.results import Result, row
from isobench.results.row import Row


@record(frozen=True, slots=True, kw_only=True)
class Line:
    """One Result, with what its columns are made of besides.

    Every line has the Result in brief. `result` is None where that is all that is known: in a list, which reads no
    whole Results, and where a Result can't be read. `baseline_s` is the baseline's median latency in seconds, None
    where that is unknown; `folder` holds the Result.
    """

    brief: Row
    result: Result | None = None
    baseline_s: float | None = None
    folder: Path | None = None

    @classmethod
    def of(cls, result: Result, *, baseline_s: float | None = None, folder: Path | None = None) -> Line:
        """The line of a whole Result."""
        return cls(brief=row.of(result), result=result, baseline_s=baseline_s, folder=folder)


@record(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. `get` returns its value, None where it is unknown or doesn't apply; a list needs it from `brief`.

    `name` is its name in the CSV, `heading` its heading in tables; either is "" where it has none. `about` is its line
    in the documentation, `unit` that of the printed value. `table` and `csv` print a value; `left` aligns it in tables.
    """

    about: str
    get: Callable[[Line], Any]
    name: str = ""
    heading: str = ""
    unit: str = ""
    table: Callable[[Any], str] = str
    csv: Callable[[Any], object] = lambda value: value
    left: bool = False

    def cell(self, line: Line) -> str:
        """The value as tables print it."""
        value = self.get(line)
        return "-" if value is None else self.table(value)

    def field(self, line: Line) -> object:
        """The value as the CSV holds it."""
        value = self.get(line)
        return "" if value is None else self.csv(value)
