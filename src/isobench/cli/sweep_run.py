"""Carries a sweep out on the command line: its progress, what became of it, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from isobench import interrupts
from isobench.cli import sweep_watch
from isobench.cli.filters import Warnings
from isobench.errors import LockHeldError, ResultError
from isobench.failures import Ending, exit_code

if TYPE_CHECKING:
    from isobench.planning.retry import Retry
    from isobench.sweeps.folder import SweepFolder
    from isobench.sweeps.tally import Tally

MOST_ROWS = 40
"""Of so many results, the summary has a table."""
UNFINISHED = 1
"""Exit code: not every case has a result."""


def carry_out(
    folder: SweepFolder, *, retry: str = "none", options: Mapping[str, Any] | None = None, as_json: bool = False
) -> int:
    """Measure what is left of a sweep, print what became of it, and return the exit code.

    `options` change those of its executor.
    """
    from isobench.cli.sweep_progress import SweepProgress
    from isobench.console import Console
    from isobench.executors import sweep as carrying
    from isobench.planning.retry import Retry
    from isobench.results import row
    from isobench.sweeps import finding

    chosen = Retry(retry)
    progress = SweepProgress(Console(), _Counting(folder, chosen))
    unsaved = 0
    try:
        for saved in carrying.run(folder, progress, retry=chosen, options=options):
            unsaved += saved.folder is None
            with suppress(Exception):  # progress ends nothing
                progress.ended(row.of(saved.result, saved.name))
    except LockHeldError as error:
        progress.clear()
        name = finding.reference(folder)
        error.hint = f"How far it is: isobench sweep status {name}; to stop it: isobench sweep cancel {name}"
        raise
    except KeyboardInterrupt:
        progress.clear()
        _interrupted(folder)
        return interrupts.exit_code()
    progress.clear()
    code = _outcome(folder, as_json=as_json)
    return exit_code(Ending.RESULT) if unsaved and code in {0, UNFINISHED} else code


class _Counting:
    """Makes the tally of a sweep once its tasks are known."""

    def __init__(self, folder: SweepFolder, retry: Retry) -> None:
        from isobench.executors import sweep as carrying

        self._folder = folder
        self._retry = retry
        self._outcomes = carrying.outcomes(folder, sweep_watch.executor_of(folder))

    def __call__(self) -> Tally | None:
        from isobench.sweeps import history
        from isobench.sweeps.tally import Tally

        tasks = self._folder.tasks()
        if tasks is None:
            return None
        return Tally(tasks, self._outcomes, self._retry, history.stored())


def _outcome(folder: SweepFolder, *, as_json: bool) -> int:
    """Print the summary; the exit code is that of the first failure."""
    from isobench import results
    from isobench.reports import sweeps
    from isobench.sweeps import finding

    found = sweep_watch.read(folder)
    if as_json:
        import json

        click.echo(json.dumps(sweeps.status_json(folder, found), indent=1))
    else:
        shown = found.measured if len(found.measured) <= MOST_ROWS else ()
        loaded, warnings = [], Warnings()
        for one in shown:
            try:
                loaded.append(results.load(str(folder.results / one.name / results.RESULT_FILE)))
            except ResultError as error:
                warnings.add(error.message)
        warnings.end()
        click.echo(sweeps.summary(found, loaded))
        click.echo(f"\nresults in {folder.results}")
        name = finding.reference(folder)
        sweep_watch.show_commands(
            [
                *sweep_watch.next_steps(folder, found),
                *[("why the first failed", f"isobench show {one.name} --from {name}") for one in found.failed[:1]],
                ("every result", f"isobench list --from {name}"),
                ("as one table", f"isobench report --csv {name}"),
            ]
        )
    if found.failed:
        return exit_code(Ending(str(found.failed[0].kind)))
    if found.left:
        return UNFINISHED
    return exit_code(Ending.WRONG_OUTPUTS) if found.verdicts.get("wrong") else 0


def _interrupted(folder: SweepFolder) -> None:
    """What to do after Ctrl-C."""
    from isobench.sweeps import finding

    found = sweep_watch.read(folder)
    if sweep_watch.executor_of(folder).detaches and found.running:
        click.echo(f"\nthe sweep goes on without this process: {sweep_watch.done(found)}", err=True)
        for word, what in (("attach", "follow it"), ("cancel", "stop it")):
            click.echo(f"{what}: isobench sweep {word} {finding.reference(folder)}", err=True)
        return
    click.echo(f"\ninterrupted; {sweep_watch.done(found)}", err=True)
    click.echo(sweep_watch.to_resume(folder), err=True)
