"""Options that choose among stored results: their folder, and which of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from isobench.cli.folders import RESULTS
from isobench.results import wanted
from isobench.results.row import UNREADABLE, Row

MOST_WARNINGS = 10


FROM = click.option(
    "--from", "root", type=RESULTS, help="The folder of results, or a sweep.  [default: $ISOBENCH_HOME/results]"
)


def _since(_context: click.Context, _option: click.Parameter, text: str) -> str:
    return wanted.since(text) if text else ""


_FILTERS = (
    click.option("--model", default="", metavar="NAME", help="Results of this model: a name, a path, or a glob."),
    click.option("--runtime", default="", metavar="NAME", help="Of this runtime: ort, ort:spinning=false, or a glob."),
    click.option(
        "--since",
        default="",
        metavar="TIME",
        callback=_since,
        help="Started since then: 2026-11-28, 2026-11-28T09:30 (UTC), or 12h, 2d ago.",
    ),
    click.option("--status", type=click.Choice(wanted.STATUSES), help="With this status or verdict."),
)


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose results; the command gets them as `wanted`."""

    @functools.wraps(command)
    def with_wanted(*arguments: Any, model: str, runtime: str, since: str, status: str | None, **more: Any) -> Any:
        chosen = wanted.Wanted(model=model, runtime=runtime, since=since, status=status or "")
        return command(*arguments, wanted=chosen, **more)

    made: Callable[..., Any] = with_wanted
    for option in reversed(_FILTERS):
        made = option(made)
    return made


class Warnings:
    """Warnings about results that can't be read: the first ones, and at the end how many more there are."""

    def __init__(self) -> None:
        self.count = 0

    def of(self, row: Row) -> Row:
        """Warn about a result if it can't be read; return it."""
        if row.status == UNREADABLE:
            self.add(row.message)
        return row

    def add(self, message: str) -> None:
        """Print a warning."""
        self.count += 1
        if self.count <= MOST_WARNINGS:
            click.echo(f"warning: {message}", err=True)

    def end(self, command: str = "isobench list --status unreadable") -> None:
        """Say how many warnings were left out, and which command lists all."""
        if self.count > MOST_WARNINGS:
            click.echo(f"warning: {self.count - MOST_WARNINGS:,} more results can't be read: {command}", err=True)
