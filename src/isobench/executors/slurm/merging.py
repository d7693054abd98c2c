"""The tasks that several architectures have prepared -> the tasks of the sweep."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from isobench import results
from isobench.errors import ResultError
from isobench.results import Failed, Result
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import What
from isobench.sweeps.outcomes import Outcomes
from isobench.sweeps.task import Task

if TYPE_CHECKING:
    from isobench.console import Progress


def merged(
    folder: SweepFolder, copies: Mapping[str, SweepFolder], made: Mapping[str, Sequence[Task]], progress: Progress
) -> tuple[Task, ...]:
    """The tasks of the sweep in `folder`: `made` by each architecture, prepared in `copies` of some of its tasks.

    A task is measured on the architectures that could prepare it. One that none could prepare has no Cases, and its
    failed Results are moved to `folder`; one that none has tried, because the job was lost, stays as it is. A script is
    split into its models as the first architecture did that could prepare most of it.
    """
    failures = {name: _failures(copies[name]) for name in made}
    moved = Outcomes.read(folder)  # by a process that was killed
    tasks: list[Task] = []
    left_out: Counter[tuple[str, str]] = Counter()
    for requested in folder.sweep.tasks:
        of: dict[str, dict[str, Task]] = {}
        for name, each in made.items():
            if mine := {task.key: task for task in each if requested.key in (task.key, task.requested)}:
                of[name] = mine
        if not of:
            tasks.append(requested)
            continue
        first = min(of, key=lambda name: sum(not task.cases for task in of[name].values()))
        for key, task in of[first].items():
            able = {name: each[key].cases for name, each in of.items() if key in each and each[key].cases}
            tasks.append(replace(task, by_architecture={name: cases for name, cases in able.items() if name}))
            if not able and not moved.is_done(task):
                _move(failures[first][key], folder, copies[first], task)
            for name in of.keys() - able.keys() if able else ():
                failed = [one for other in of[name].values() if not other.cases for one in failures[name][other.key]]
                left_out[name, _why(failed)] += 1
    for (name, why), number in left_out.items():
        progress.note(f"{number} of {len(tasks)} tasks aren't measured on {name}{why}")
    return tuple(tasks)


def _failures(copy: SweepFolder) -> defaultdict[str, list[tuple[str, Result]]]:
    """The failed Results of a copy by their task, each with the name of its folder."""
    found: defaultdict[str, list[tuple[str, Result]]] = defaultdict(list)
    for file in results.files(copy.results):
        try:
            result = results.load(str(file))
        except ResultError:  # the task is prepared again
            continue
        if result.sweep is not None:
            found[result.sweep.task].append((file.parent.name, result))
    return found


def _move(failed: Sequence[tuple[str, Result]], folder: SweepFolder, copy: SweepFolder, task: Task) -> None:
    for name, _ in failed:
        (copy.results / name).rename(folder.results / name)
    names = tuple(name for name, _ in failed)
    folder.journal.write(What.ENDED, task=task.key, attempt=task.attempt, results=names)


def _why(failed: Sequence[tuple[str, Result]]) -> str:
    messages = [result.outcome.message for _, result in failed if isinstance(result.outcome, Failed)]
    return f": {messages[0]}" if messages else ""
