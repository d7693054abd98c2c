"""`isobench list`, `isobench show` and `isobench remove`."""

from __future__ import annotations

from pathlib import Path

import click

from isobench.cli.folders import RESULTS


@click.command("list")
@click.option("--from", "root", type=RESULTS, help="The folder of results.  [default: $ISOBENCH_HOME/results]")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def list_(root: Path | None, as_json: bool) -> None:
    """List results, the oldest first."""
    from isobench import paths, results
    from isobench.errors import ResultError
    from isobench.reports import table

    readable = []
    for found in results.load_all(root):
        if isinstance(found, ResultError):
            click.echo(f"warning: {found.message}", err=True)
        else:
            readable.append(found)
    if as_json:
        import json

        click.echo(json.dumps([result.to_json() for result in readable], indent=1))
    elif readable:
        click.echo(table.listing(readable))
    else:
        click.echo(f"no results in {root or paths.results()} yet", err=True)


@click.command()
@click.argument("name", metavar="ID")
@click.option("--from", "root", type=RESULTS, help="The folder of results.  [default: $ISOBENCH_HOME/results]")
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
@click.option("--from", "root", type=RESULTS, help="The folder of results.  [default: $ISOBENCH_HOME/results]")
def remove(names: tuple[str, ...], root: Path | None) -> None:
    """Remove results with their samples and logs.

    ID is a result's id, or the beginning of one.
    """
    from isobench import paths, results

    for folder in [results.folder_of(name, root=root) for name in dict.fromkeys(names)]:
        results.remove(folder, root=root or paths.results())
        click.echo(f"removed {folder}")
