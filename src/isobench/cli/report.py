"""`isobench report`."""

from __future__ import annotations

from pathlib import Path

import click

from isobench.cli.folders import RESULTS
from isobench.errors import UsageError


@click.command()
@click.argument("folders", nargs=-1, type=RESULTS, metavar="[FOLDER]...")
@click.option("--csv", is_flag=True, required=True, expose_value=False, help="Write CSV, one row for each result.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file instead of standard output.",
)
def report(folders: tuple[Path, ...], output: Path | None) -> None:
    """Write results as one table.

    FOLDER is a folder of results (`isobench run --output FOLDER`) or of one result, or a sweep (its folder or name).
    [default: $ISOBENCH_HOME/results]

    Latencies are in milliseconds; docs/result-schema.md describes each column. A result that can't be read has a row
    that says so.
    """
    from isobench import paths
    from isobench.reports import csv_report

    found = csv_report.gather(folders or [paths.results()])
    for one in found:
        if isinstance(one, csv_report.Unreadable):
            click.echo(f"warning: {one.error.message}", err=True)
    text = csv_report.text(found)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{output} can't be written: {error.strerror}", hint="Choose another file: --output FILE"
        ) from None
    click.echo(f"{len(found)} results in {output}", err=True)
