"""`isobench sweep status` and `cancel`, and what all commands of sweeps share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from isobench.cli.filters import Warnings
from isobench.errors import UsageError
from isobench.reports.format import aligned, plural

if TYPE_CHECKING:
    from isobench.executors.base import SweepExecutor
    from isobench.sweeps.folder import SweepFolder
    from isobench.sweeps.status import Status

FOLDER = click.argument("name", required=False, metavar="[FOLDER]")


def chosen(name: str | None) -> SweepFolder:
    """The sweep that a user names: by its folder, its name or the beginning of it; else the newest one.

    Raises:
        UsageError: there is none.
    """
    from isobench.sweeps import finding
    from isobench.sweeps.folder import SweepFolder

    if name:
        return SweepFolder.find(name)
    folder = finding.newest()
    click.echo(f"the newest sweep: {folder.path.name}", err=True)
    return folder


def executor_of(folder: SweepFolder) -> SweepExecutor:
    """The executor that the sweep was started with."""
    from isobench.executors import registry

    return registry.make(folder.sweep.executor, folder.options)


def read(folder: SweepFolder) -> Status:
    """How far a sweep is."""
    from isobench.executors import sweep as carrying
    from isobench.sweeps import status

    executor = executor_of(folder)
    return status.read(folder, carrying.outcomes(folder, executor), executor.pending(folder))


@click.command()
@FOLDER
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(name: str | None, as_json: bool) -> None:
    """Show what is done, failed, running and left.

    FOLDER is a sweep's folder, its name, or the beginning of it.  [default: the newest sweep]
    """
    from isobench.reports import sweeps

    folder = chosen(name)
    found = read(folder)
    warnings = Warnings()
    for row in found.unreadable:
        warnings.of(row)
    warnings.end(f"isobench list --from {reference(folder)} --status unreadable")
    if as_json:
        import json

        click.echo(json.dumps(sweeps.status_json(folder, found), indent=1))
        return
    click.echo(sweeps.status_text(folder, found))
    show_commands(next_steps(folder, found))


@click.command()
@FOLDER
def cancel(name: str | None) -> None:
    """Stop a sweep that is running; what is measured stays.

    FOLDER is a sweep's folder, its name, or the beginning of it.  [default: the newest sweep]
    """
    from isobench.sweeps.journal import What
    from isobench.system import locks

    folder = chosen(name)
    executor = executor_of(folder)
    if not executor.detaches and locks.holder(folder.lock_file) is None:
        raise UsageError(
            f"no process works on {folder.path.name}",
            hint=f"What became of it: isobench sweep status {reference(folder)}",
        )
    stopped = executor.cancel(folder)
    found = read(folder)
    if stopped:
        folder.journal.write(What.CANCELLED)
    nothing = "nothing was at work" if executor.detaches else "stopped between two cases"
    what = f"cancelled, {plural(stopped, 'case')} stopped" if stopped else nothing
    click.echo(f"{what}: {done(found)}")
    if found.left:
        click.echo(to_resume(folder))


def next_steps(folder: SweepFolder, found: Status) -> list[tuple[str, str]]:
    """What can be done about cases that failed or are left: in words, and the command."""
    if found.running or found.holder:
        return []
    steps = []
    retry = f"isobench sweep retry {reference(folder)}"
    if found.left:
        steps.append((f"measure what is left ({found.left})", f"isobench sweep resume {reference(folder)}"))
    if found.infrastructure:
        steps.append((f"retry infrastructure failures ({found.infrastructure})", f"{retry} --retry infrastructure"))
    if len(found.failed) > found.infrastructure:
        steps.append((f"retry all failures ({len(found.failed)})", retry))
    return steps


def show_commands(steps: Sequence[tuple[str, str]]) -> None:
    """Print commands, each after what it is for."""
    if steps:
        click.echo("\n" + "\n".join(aligned(steps)))


def done(found: Status) -> str:
    return f"{len(found.measured)} of {found.total} cases are measured, {found.left} left"


def to_resume(folder: SweepFolder) -> str:
    return f"go on: isobench sweep resume {reference(folder)}"


def reference(folder: SweepFolder) -> str:
    """What a user types to name the sweep."""
    from isobench.sweeps import finding

    return finding.reference(folder)
