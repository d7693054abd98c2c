"""LocalSweepExecutor: measures the tasks of a sweep on this machine, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from isobench.errors import UsageError
from isobench.executors import frozen
from isobench.executors.local import LocalExecutor
from isobench.measuring.case import Case
from isobench.sweeps.journal import What

if TYPE_CHECKING:
    from isobench.console import Progress
    from isobench.results import SavedResult
    from isobench.sweeps.folder import SweepFolder
    from isobench.sweeps.task import Task


def run_task(folder: SweepFolder, task: Task, *, attempt: int = 1, progress: Progress) -> Iterator[SavedResult]:
    """Measure a task on this machine, its Results in the sweep's folder; each is saved before it is yielded.

    What this attempt has measured already isn't measured again. A Case that isn't what it was when the task was frozen
    fails.
    """
    from dataclasses import replace

    def before(case: Case) -> SavedResult | None:
        frozen.check(case, task)
        return None

    current = task.at(attempt)
    plan = replace(current.plan, results=folder.results)
    folder.journal.write(What.RUNNING, task=task.key, attempt=attempt)
    ids: list[str] = []
    for saved in LocalExecutor(before=before).run(plan, progress):
        ids.append(saved.folder.name)
        yield saved
    folder.journal.write(What.ENDED, task=task.key, attempt=attempt, results=tuple(ids))


class LocalSweepExecutor:
    """Measures on this machine, in this process."""

    detaches: ClassVar[bool] = False

    def __init__(self, options: Mapping[str, Any]) -> None:
        if options:
            raise UsageError(
                f"the executor local has no option {next(iter(options))!r}", hint="It needs no options: leave it out."
            )

    def check(self) -> None:
        """It can be used everywhere."""

    def prepare(self, folder: SweepFolder, progress: Progress) -> tuple[Task, ...]:
        """Make all environments and builds; the tasks to measure."""
        from isobench.executors import preparing

        return preparing.prepare(folder, progress)

    def run(self, folder: SweepFolder, tasks: Sequence[Task], progress: Progress) -> Iterator[SavedResult]:
        """Measure the tasks in their order."""
        for task in tasks:
            yield from run_task(folder, task, attempt=task.attempt, progress=progress)

    def pending(self, folder: SweepFolder) -> Mapping[str, str]:
        """The task that a process on this machine measures now."""
        from isobench.executors import local_process

        return local_process.running(folder)

    def cancel(self, folder: SweepFolder) -> int:
        """Stop the process that works on the sweep; the number of tasks that it was measuring.

        Raises:
            UsageError: there is none, or it can't be stopped from here.
        """
        from isobench.executors import local_process

        return local_process.stop(folder)
