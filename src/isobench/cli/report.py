"""`isobench report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isobench import streams
from isobench.cli.filters import Warnings, filters
from isobench.cli.folders import RESULTS
from isobench.errors import UsageError

if TYPE_CHECKING:
    from isobench.reports.column import Line
    from isobench.results.wanted import Wanted


@click.command()
@click.argument("folders", nargs=-1, type=RESULTS, metavar="[FOLDER]...")
@click.option("--csv", is_flag=True, required=True, expose_value=False, help="Write CSV, one row for each result.")
@filters
@click.option(
    "--limit",
    type=click.IntRange(min=0, max=2**31),
    default=0,
    metavar="N",
    help="The newest N of each folder.  [default: all]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file instead of standard output.",
)
def report(folders: tuple[Path, ...], wanted: Wanted, limit: int, output: Path | None) -> None:
    """Write results as one table.

    FOLDER is a folder of results (`isobench run --output FOLDER`) or of one result, or a sweep (its folder or name).
    [default: $ISOBENCH_HOME/results]

    Latencies are in milliseconds; docs/result-schema.md describes each column. A result that can't be read has a row
    that says so.
    """
    from isobench import paths
    from isobench.console import Console
    from isobench.reports import csv_report

    console, warnings, count = Console(), Warnings(), 0

    def written(line: Line) -> None:
        nonlocal count
        count += 1
        warnings.of(line.brief)
        if output is None and streams.unread():
            raise click.exceptions.Exit

    with csv_report.Source(folders or [paths.results()], wanted, limit=limit, progress=console.stage) as source:
        console.clear()
        if output is None:
            csv_report.write(source, sys.stdout, written)
        else:
            try:
                with output.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
                    csv_report.write(source, stream, written)
            except OSError as error:
                raise UsageError(
                    f"{output} can't be written: {error.strerror}", hint="Choose another file: --output FILE"
                ) from None
    warnings.end()
    if output is not None:
        click.echo(f"{count} results in {output}", err=True)
