"""LocalSweepExecutor: measures the tasks of a sweep on this machine, one after the other."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from isobench.errors import ResultError, UsageError, unexpected
from isobench.executors import frozen
from isobench.executors.local import LocalExecutor
from isobench.failures import Ending
from isobench.sweeps.journal import What
from isobench.sweeps.outcomes import Machine
from isobench.system import locks

if TYPE_CHECKING:
    from isobench.console import Progress
    from isobench.measuring.case import Case
    from isobench.results import SavedResult
    from isobench.results.row import Row
    from isobench.sweeps.folder import SweepFolder
    from isobench.sweeps.task import Task

PATIENCE_S = 5.0
"""How long a process has to end after a signal."""


def run_task(
    folder: SweepFolder, task: Task, *, attempt: int = 1, rows: Iterable[Row] | None = None, progress: Progress
) -> Iterator[SavedResult]:
    """Measure a task on this machine, its Results in the sweep's folder; each is saved before it is yielded.

    A Case that this attempt has measured already, before its process was lost, isn't measured again. Interleaved Cases
    are measured together or not at all. A Case that isn't what it was when the task was frozen fails. `rows` are the
    task's Results in brief; without them, they are looked up.
    """
    if rows is None:
        from isobench.results import index

        rows = index.rows(folder.results, task=task.key)
    stored = {row.label: row.name for row in rows if row.attempt == attempt}
    yield from _measured(folder, task.at(attempt), stored, progress)


def _measured(folder: SweepFolder, task: Task, stored: Mapping[str, str], progress: Progress) -> Iterator[SavedResult]:
    """The Results of a task's Cases that have none; `stored` are those that there are, by the runtime's label."""

    def before(case: Case) -> SavedResult | None:
        name = stored.get(case.entry.label)
        if name is not None:
            from isobench import results

            with suppress(ResultError):  # one that can't be read is measured again
                return results.SavedResult(result=results.load(name, root=folder.results), folder=folder.results / name)
        frozen.check(case, task)
        return None

    plan = replace(task.plan, results=folder.results)
    folder.journal.write(What.RUNNING, task=task.key, attempt=task.attempt)
    names: list[str] = []
    for saved in LocalExecutor(before=before).run(plan, progress):
        names += [saved.name] if saved.folder is not None else []
        if saved.name not in stored.values() and saved.result.ending is not Ending.CANCELLED:
            yield saved
    folder.journal.write(What.ENDED, task=task.key, attempt=task.attempt, results=tuple(names))


class LocalSweepExecutor:
    """Measures on this machine, in this process."""

    detaches: ClassVar[bool] = False
    fixed: ClassVar[frozenset[str]] = frozenset()

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

        return preparing.prepare(folder, progress, machine=Machine.here())

    def run(self, folder: SweepFolder, tasks: Sequence[Task], progress: Progress) -> Iterator[SavedResult]:
        """Measure the tasks in their order."""
        for task in tasks:
            try:
                yield from _measured(folder, task, {}, progress)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the other tasks go on
                progress.note(f"{task.label} isn't measured: {unexpected(error, f'measuring {task.label}').message}")

    def pending(self, folder: SweepFolder) -> Mapping[str, str]:
        """The task that a process measures now."""
        holder = locks.holder(folder.lock_file)
        if holder is None:
            return {}
        found: dict[str, str] = {}
        for event in folder.journal.events():
            if event.pid == holder.pid and holder.host in {"", event.host}:
                if event.what is What.RUNNING:
                    found[event.task] = f"pid {holder.pid}" + ("" if holder.is_here else f" on {holder.host}")
                else:
                    found.pop(event.task, None)
        return found

    def cancel(self, folder: SweepFolder) -> int:
        """Stop the process that works on the sweep; the number of tasks that it was measuring.

        Raises:
            UsageError: it runs on another host, belongs to another user, or doesn't end.
        """
        holder = locks.holder(folder.lock_file)
        if holder is None:
            return 0
        if not holder.is_here or not holder.pid:
            raise UsageError(
                f"{folder.path.name} is worked on by {holder.in_words}", hint="Interrupt it there, with Ctrl-C."
            )
        stopped = len(self.pending(folder))
        try:
            _stop(holder.pid)
        except PermissionError:
            raise UsageError(f"{folder.path.name}: not permitted to stop {holder.in_words}") from None
        return stopped


def _stop(pid: int) -> None:
    """Interrupt a process as Ctrl-C does; one that ignores it, because it was started in the background, terminate.

    Raises:
        PermissionError: it belongs to another user.
        UsageError: it doesn't end.
    """
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            ending = select.poll()
            ending.register(descriptor, select.POLLIN)
            for one in (signal.SIGINT, signal.SIGTERM):
                signal.pidfd_send_signal(descriptor, one)
                if ending.poll(PATIENCE_S * 1000):
                    return
        finally:
            os.close(descriptor)
        raise UsageError(f"pid {pid} doesn't end", hint=f"Kill it: kill -KILL {pid}. No result is lost.")
