"""Makes what the tasks of a sweep need before any of them is timed: all environments, then all builds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from isobench.errors import IsobenchError, unexpected
from isobench.executors import frozen
from isobench.executors.cases import Cases
from isobench.measuring.case import Case
from isobench.sweeps.journal import What
from isobench.sweeps.task import Task, keyed

if TYPE_CHECKING:
    from isobench.console import Progress
    from isobench.sweeps.folder import SweepFolder


def prepare(folder: SweepFolder, progress: Progress) -> tuple[Task, ...]:
    """The tasks of the sweep with their Cases: one for each model that a script calls.

    A task whose Cases can't be prepared has none, and its failed Results are saved at once.
    """
    return tuple(made for task in folder.sweep.tasks for made in _prepared(folder, task, progress))


def _prepared(folder: SweepFolder, task: Task, progress: Progress) -> Iterator[Task]:
    plan = replace(task.plan, results=folder.results)
    [model] = plan.models
    cases = Cases(plan, progress)
    groups: dict[str, list[Case]] = {}
    failures: list[tuple[Case, IsobenchError]] = []
    for case, found in cases.of(model):
        error = found
        if error is None:
            try:
                case.prepare(cases.ready)
            except Exception as reason:  # noqa: BLE001 - whatever it is, the other tasks go on
                error = unexpected(reason, f"preparing {case.label}")
        if case.build is not None:
            groups.setdefault(case.build.hash, []).append(case)
        if error is not None:
            failures.append((case, error))
    failed = {case for case, _ in failures}
    for hash_, group in groups.items():
        if all(case in failed for case in group):
            continue
        own = task if len(groups) == 1 else _of_model(task, hash_)
        yield replace(own, cases=tuple(frozen.planned(case) for case in group))
        failures = [(case, error) for case, error in failures if case not in group]
    for case, error in failures:
        yield _failed(folder, task, case, error)


def _failed(folder: SweepFolder, task: Task, case: Case, error: IsobenchError) -> Task:
    """The task of one Case that can't be measured, with its failed Result."""
    from isobench import results

    assert case.entry.choice is not None
    own = replace(task, plan=replace(task.plan, runtimes=(case.entry.choice,)))
    if case.build is not None and case.build.hash != task.plan.models[0].hash and case.build.part:
        own = _of_model(own, case.build.hash)
    elif own.runtimes != task.runtimes:
        own = _again_keyed(own, task)
    case.plan = replace(own.plan, results=folder.results)
    saved = results.save(case.failed(error), root=folder.results)
    folder.journal.write(What.ENDED, task=own.key, attempt=own.attempt, results=(saved.name,), note="preparing")
    return own


def _of_model(task: Task, hash_: str) -> Task:
    """The task for one of the models that its script calls."""
    [model] = task.plan.models
    return _again_keyed(replace(task, plan=replace(task.plan, models=(replace(model, hash=hash_),))), task)


def _again_keyed(task: Task, requested: Task) -> Task:
    """The changed task with a key of its own, and with that of the requested one."""
    return replace(keyed(task), requested=requested.requested or requested.key)
