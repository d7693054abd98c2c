"""`isobench list`, `isobench show` and `isobench remove`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isobench import streams
from isobench.cli.filters import FROM, Warnings, filters
from isobench.results.row import UNREADABLE, Row

if TYPE_CHECKING:
    from isobench.results.wanted import Wanted

PAGE = 50


@click.command("list")
@FROM
@filters
@click.option(
    "--limit",
    type=click.IntRange(min=0, max=2**31),
    default=PAGE,
    show_default=True,
    metavar="N",
    help="The newest N of them; 0: all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def list_(root: Path | None, wanted: Wanted, limit: int, as_json: bool) -> None:
    """List results, the newest at the bottom."""
    from isobench import paths
    from isobench.console import Console
    from isobench.reports import table
    from isobench.results.index import Index

    root = root or paths.results()
    console, warnings = Console(), Warnings()
    with Index(root, console.stage) as index:
        console.clear()
        count = index.count(wanted)
        page = map(warnings.of, index.rows(index.names(wanted, limit=limit)[::-1], wanted))
        if as_json:
            _print_json(root, page, warnings)
        elif count:
            click.echo(table.listing(page))
        else:
            click.echo(f"no results in {root} yet" if wanted.everything else f"no result in {root} matches", err=True)
    warnings.end()
    if limit and count > limit:
        click.echo(f"the newest {limit:,} of {count:,}; --limit 0 lists all", err=True)


def _print_json(root: Path, page: Iterable[Row], warnings: Warnings) -> None:
    """Print a list of whole results, one at a time: in memory there is never more than one."""
    import json

    from isobench import results
    from isobench.errors import ResultError

    separator = "["
    for row in page:
        if row.status == UNREADABLE:
            continue
        try:
            result = results.load(str(root / row.name / results.RESULT_FILE))
        except ResultError as error:
            warnings.add(error.message)
            continue
        text = json.dumps(result.to_json(), indent=1).replace("\n", "\n ")
        click.echo(f"{separator}\n {text}", nl=False)
        if streams.unread():
            return
        separator = ","
    click.echo("[]" if separator == "[" else "\n]")


@click.command()
@click.argument("name", metavar="ID")
@FROM
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def show(name: str, root: Path | None, as_json: bool) -> None:
    """Show one result in full.

    ID is a result's id, the beginning of one, a result's folder, or a result.json.
    """
    from isobench import results
    from isobench.reports import details

    result = results.load(name, root=root)
    if as_json:
        import json

        click.echo(json.dumps(result.to_json(), indent=1))
    else:
        click.echo(details.details(result, results.folder_of(name, root=root)))


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="ID...")
@FROM
def remove(names: tuple[str, ...], root: Path | None) -> None:
    """Remove results with their samples and logs.

    ID is a result's id, or the beginning of one.
    """
    from isobench import paths, results

    for folder in [results.folder_of(name, root=root) for name in dict.fromkeys(names)]:
        results.remove(folder, root=root or paths.results())
        click.echo(f"removed {folder}")
