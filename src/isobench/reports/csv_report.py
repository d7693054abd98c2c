"""Results as CSV: one row for each Result, so that two runtimes never share one. `columns.CSV` declares the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from isobench import results
from isobench.errors import ResultError
from isobench.reports import columns
from isobench.reports.column import Column, Row
from isobench.results import Measured, SavedResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A `result.json` that can't be read, and why: it gets a row, too."""

    folder: Path
    error: ResultError


def gather(places: Iterable[Path]) -> list[SavedResult | Unreadable]:
    """The Results in folders of results (or in a Result's own folder), each once, in the order of the folders.

    Raises:
        ResultError: one of the folders holds no result.
    """
    found: dict[Path, SavedResult | Unreadable] = {}
    for place in places:
        files = [place / results.RESULT_FILE] if (place / results.RESULT_FILE).exists() else results.files(place)
        if not files:
            raise ResultError(f"no results in {place}", hint="isobench run --output FOLDER writes results there.")
        for file in files:
            folder = file.resolve().parent
            if folder in found:
                continue
            try:
                found[folder] = SavedResult(result=results.load(str(file)), folder=folder)
            except ResultError as error:
                found[folder] = Unreadable(folder=folder, error=error)
    return list(found.values())


def text(found: Sequence[SavedResult | Unreadable]) -> str:
    """The table with its header. The last columns are the figures that runtimes saved themselves."""
    outcomes = [one.result.outcome for one in found if isinstance(one, SavedResult)]
    saved = {name for outcome in outcomes if isinstance(outcome, Measured) for name in outcome.stats}
    every = [*columns.CSV, *(columns.stat(name) for name in sorted(saved))]
    written = io.StringIO()
    writer = csv.DictWriter(written, [column.name for column in every], restval="", lineterminator="\n")
    writer.writeheader()
    for one in found:
        writer.writerow(_unreadable(one) if isinstance(one, Unreadable) else _fields(one, every))
    return written.getvalue()


def _fields(saved: SavedResult, every: Sequence[Column]) -> dict[str, object]:
    row = Row(result=saved.result, folder=saved.folder)
    return {column.name: column.field(row) for column in every}


def _unreadable(one: Unreadable) -> dict[str, object]:
    return {
        columns.STATUS.name: "unreadable",
        columns.ERROR.name: one.error.kind,
        columns.ERROR_MESSAGE.name: one.error.message,
        columns.RESULT_ID.name: one.folder.name,
        columns.FOLDER.name: one.folder,
    }
