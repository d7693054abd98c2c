"""Makes what the tasks of a sweep need before any of them is timed: all environments, then all builds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from isobench.errors import IsobenchError, unexpected
from isobench.executors import frozen, making
from isobench.executors.lookups import Lookups, MissingError, SharedCases
from isobench.measuring.case import Case
from isobench.sweeps.journal import What
from isobench.sweeps.outcomes import Machine, Outcomes
from isobench.sweeps.task import Task, keyed

if TYPE_CHECKING:
    from isobench.console import Progress
    from isobench.sweeps.folder import SweepFolder


def prepare(folder: SweepFolder, progress: Progress, *, machine: Machine | None = None) -> tuple[Task, ...]:
    """The tasks of the sweep with their Cases, in order: one task for each model that a script calls.

    A task that can't be prepared has no Cases, and its failed Results are saved at once, unless a process that was
    killed has saved them (on this `machine`, if one is given). Of interleaved Cases, those that can't be prepared
    become such tasks, and the others stay together.
    """
    preparing = _Preparing(folder, Lookups(progress), machine)
    preparing.settle()
    while jobs := preparing.lookups.take():
        keys = {id(job): key for key, job in jobs.items()}
        for job, answer in making.make([*jobs.values()], progress):
            preparing.lookups.learn(keys[id(job)], answer)
            if isinstance(answer, IsobenchError):
                progress.note(f"{job.label}: failed: {answer.message}")
                preparing.settle()  # so that the failed Results are saved at once
        preparing.settle()
    return preparing.tasks()


@dataclass(frozen=True, slots=True)
class _Failure:
    """A task that can't be measured, its Case, and why."""

    task: Task
    case: Case
    error: IsobenchError


class _Preparing:
    """The tasks of a sweep, some of them prepared."""

    def __init__(self, folder: SweepFolder, lookups: Lookups, machine: Machine | None) -> None:
        self._folder = folder
        self._machine = machine
        self.lookups = lookups
        self._waiting = list(folder.sweep.tasks)
        self._done: dict[str, list[Task]] = {}

    def tasks(self) -> tuple[Task, ...]:
        """All of them, in the order of the sweep."""
        return tuple(task for one in self._folder.sweep.tasks for task in self._done[one.key])

    def settle(self) -> None:
        """Freeze the tasks that have all that they need, and save the failures of those that never will."""
        waiting = []
        for task in self._waiting:
            try:
                found = [*self._settled(task)]
            except MissingError:
                waiting.append(task)
                continue
            except BaseException as error:  # noqa: BLE001 - whatever it is, the other tasks go on
                reason = unexpected(error, f"preparing {task.label}")
                self.lookups.progress.note(f"{task.label}: failed: {reason.message}")
                found = [task]  # without Cases
            made = [self._saved(one) if isinstance(one, _Failure) else one for one in found]
            self._done[task.key] = [replace(one, requested=task.key if one.key != task.key else "") for one in made]
        self._waiting = waiting

    def _settled(self, task: Task) -> Iterator[Task | _Failure]:
        """The task with its Cases, or the tasks that stand for it.

        Raises:
            MissingError: something must be made first.
        """
        found = self._cases(task)
        hashes = dict.fromkeys(case.build.hash for case, _ in found if case.build is not None)
        good = [case for case, error in found if error is None]
        if len(good) == len(found) and len(hashes) == 1:
            yield replace(task, cases=tuple(map(frozen.planned, good)))
            return
        for case, error in found:
            if error is not None:
                yield _Failure(_alone(task, case, several=len(hashes) > 1), case, error)
        for hash_ in hashes:
            runtimes = {case.entry.label for case in good if case.build is not None and case.build.hash == hash_}
            part = _part(task, hash_ if len(hashes) > 1 else "", runtimes)
            if runtimes and part is not task:  # a smaller task, whose builds must be in the cache by themselves
                yield from self._settled(part)

    def _cases(self, task: Task) -> list[tuple[Case, IsobenchError | None]]:
        [model] = task.plan.models
        cases = SharedCases(replace(task.plan, results=self._folder.results), self.lookups)
        cases.survey(model)
        found = [(case, error or self._error(case, cases)) for case, error in cases.of(model)]
        missing = next((error for _, error in found if isinstance(error, MissingError)), None)
        if missing is not None:
            raise missing
        return found

    def _error(self, case: Case, cases: SharedCases) -> IsobenchError | None:
        try:
            case.prepare(cases.ready)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the other tasks go on
            return case.failure(error)
        return None

    @cached_property
    def _before(self) -> Outcomes:
        """The Results that there were before the first failure."""
        return Outcomes.read(self._folder, machine=self._machine)

    def _saved(self, failure: _Failure) -> Task:
        """The task of a failure, whose Result is saved."""
        from isobench import results

        task = failure.task
        if self._before.is_done(task):
            return task
        failure.case.plan = replace(task.plan, results=self._folder.results)
        try:
            folder = results.save(failure.case.failed(failure.error), root=self._folder.results)
        except BaseException as error:  # noqa: BLE001 - it stays a task without a Result
            reason = unexpected(error, f"saving {failure.case.label}")
            self.lookups.progress.note(f"{failure.case.label}: failed: {failure.error.message}; {reason.message}")
        else:
            self._folder.journal.write(What.ENDED, task=task.key, attempt=task.attempt, results=(folder.name,))
        return task


def _alone(task: Task, case: Case, *, several: bool) -> Task:
    """The task for one Case."""
    hash_ = case.build.hash if case.build is not None and several else ""
    return _part(task, hash_, {case.entry.label})


def _part(task: Task, hash_: str, runtimes: Sequence[str] | set[str]) -> Task:
    """The task for the model of that hash ("": the only one) on some of its runtimes; itself, if that is all of it."""
    [model] = task.plan.models
    chosen = tuple(one for one in task.plan.runtimes if str(one) in runtimes)
    plan = replace(task.plan, models=(replace(model, hash=hash_ or model.hash),), runtimes=chosen)
    if plan == task.plan:
        return task
    return keyed(replace(task, plan=plan))
