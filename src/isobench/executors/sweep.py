"""Carries a sweep out: prepares its tasks, measures what is left, and can be interrupted at any time.

Nothing of a sweep's state is in this process alone: whoever calls `run` again goes on where the last one ended.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, chdir, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from isobench import results
from isobench.console import Unfailing
from isobench.errors import LockError, LockHeldError, ResultError, UsageError
from isobench.executors import registry
from isobench.planning.retry import Retry
from isobench.results import SavedResult
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import What
from isobench.sweeps.outcomes import Machine, Outcomes
from isobench.system import leftovers, locks

if TYPE_CHECKING:
    from isobench.console import Progress
    from isobench.executors.base import SweepExecutor
    from isobench.sweeps.task import Task


def run(
    folder: SweepFolder, progress: Progress, *, retry: Retry = Retry.NONE, options: Mapping[str, Any] | None = None
) -> Iterator[SavedResult]:
    """Measure what is left of a sweep, and what `retry` says; each Result lies in its folder before it is yielded.

    The process works in the sweep's working folder meanwhile. Several processes can't run a sweep at once. A retry that
    was interrupted goes on: what it has measured isn't measured again by the same one. `options` change the executor's,
    for this and later calls.

    Raises:
        LockError: another process runs it.
        UsageError: the executor can't be used here, an option isn't allowed, or the working folder is gone.
        OSError: the sweep's folder can't be written. What lies in it is whole.
    """
    progress = Unfailing(progress)
    folder = SweepFolder(folder.path.absolute(), folder.sweep)
    executor = _executor(folder, options or {})
    executor.check()
    with _locked(folder), _working_folder(folder):
        if options:
            folder.change_options(options)
        leftovers.sweep()  # of a process that was killed after its last case, whose Result is saved
        since = _began(folder, retry)
        folder.journal.write(What.STARTED, note=_note(retry))
        tasks = folder.tasks()
        requested = folder.sweep.tasks if tasks is None else tasks
        left = [*outcomes(folder, executor).left(requested, retry, since=since)]
        unprepared = [task for task in left if not task.cases]
        if tasks is None or unprepared:
            tasks = yield from _prepared(folder, executor, requested, unprepared, progress)
        left = [*outcomes(folder, executor).left(tasks, retry, since=since)]
        yield from executor.run(folder, [task for task in left if task.cases], progress)
        if not any(outcomes(folder, executor).left(tasks)):
            folder.journal.write(What.FINISHED)


def _executor(folder: SweepFolder, changed: Mapping[str, Any]) -> SweepExecutor:
    """The sweep's executor, with options that are changed now.

    Raises:
        UsageError: an option isn't allowed, or changes what is measured.
    """
    executor = registry.make(folder.sweep.executor, {**folder.options, **changed})
    fixed = sorted(executor.fixed & changed.keys())
    if fixed:
        raise UsageError(
            f"a sweep that was started keeps its option {fixed[0]}, which changes what is measured",
            hint="Start another sweep with it.",
        )
    return executor


def _note(retry: Retry) -> str:
    return f"retry {retry}" if retry is not Retry.NONE else ""


def _began(folder: SweepFolder, retry: Retry) -> str:
    """When the same retry began that was interrupted, and now goes on; "" where there is none."""
    began = ""
    for event in folder.journal.events() if retry is not Retry.NONE else ():
        if event.what is What.FINISHED:
            began = ""
        elif event.what is What.STARTED and event.note == _note(retry):
            began = began or event.at
    return began


def outcomes(folder: SweepFolder, executor: SweepExecutor) -> Outcomes:
    """The Results that count: where tasks aren't sent to other machines, only those of this one."""
    return Outcomes.read(folder, machine=None if executor.detaches else Machine.here())


def _prepared(
    folder: SweepFolder,
    executor: SweepExecutor,
    tasks: Sequence[Task],
    unprepared: Sequence[Task],
    progress: Progress,
) -> Generator[SavedResult, None, tuple[Task, ...]]:
    """Have the executor prepare some of the tasks, and freeze all; yield the Results of those that failed."""
    before = outcomes(folder, executor).ids()
    made: dict[str, list[Task]] = {task.key: [] for task in unprepared}
    part = SweepFolder(folder.path, replace(folder.sweep, tasks=tuple(unprepared)))
    for task in executor.prepare(part, progress) if unprepared else ():
        made[task.requested or task.key].append(task)
    frozen = tuple(one for task in tasks for one in made.get(task.key, [task]))
    folder.freeze(frozen)
    folder.journal.write(What.PREPARED)
    after = outcomes(folder, executor)
    for task in frozen:
        for failure in after.failures(task):
            if failure.id not in before:
                with suppress(ResultError):  # somebody else's fault; what is left says that it isn't done
                    result = results.load(failure.id, root=folder.results)
                    yield SavedResult(result=result, folder=folder.results / failure.id)
    return frozen


@contextmanager
def _locked(folder: SweepFolder) -> Iterator[None]:
    lock = locks.FileLock(folder.lock_file, what=f"the sweep {folder.path.name}", timeout_s=0)
    with ExitStack() as held:
        try:
            held.enter_context(lock)
        except LockHeldError:
            raise
        except LockError as error:
            error.hint = f"Make the sweep's folder writable, or copy it: {folder.path}"
            raise
        yield


@contextmanager
def _working_folder(folder: SweepFolder) -> Iterator[None]:
    where = folder.sweep.working_folder
    try:
        entered = chdir(where)
        entered.__enter__()
    except OSError as error:
        raise UsageError(
            f"the folder of the suite, {where}, can't be entered: {error.strerror}",
            hint="Its scripts run there. Restore it, or begin another sweep.",
        ) from None
    try:
        yield
    finally:
        entered.__exit__(None, None, None)
