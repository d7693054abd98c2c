"""What became of the tasks of a sweep, read from its Results: which are done, which failed, which are left.

The Results are the truth. The journal only says where a Result comes from that failed before its machine was known, and
how often a task was tried.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from isobench.failures import Ending
from isobench.planning.retry import Retry
from isobench.record import record
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import Event, What
from isobench.sweeps.task import Task


@record(frozen=True, slots=True, kw_only=True)
class Machine:
    """What distinguishes one machine from another: its name, and its CPU's model."""

    hostname: str
    cpu: str

    @classmethod
    @cache
    def here(cls) -> Machine:
        """This machine."""
        import os

        from isobench.system import provenance

        return cls(hostname=os.uname().nodename, cpu=provenance.cpu_model())


@record(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A Result of a sweep, in short. `kind` is None where it was measured."""

    id: str
    task: str
    runtime: str
    case_key: str
    attempt: int
    started_at: str
    kind: Ending | None
    hostname: str
    cpu: str


class Outcomes:
    """The Results of a sweep, by task and runtime, the newest of each."""

    def __init__(self, found: Iterable[Outcome], attempts: Mapping[str, int]) -> None:
        """`attempts` are the highest that the journal knows."""
        self._of: dict[str, dict[str, Outcome]] = defaultdict(dict)
        self._attempts = dict(attempts)
        for one in found:
            newest = self._of[one.task].setdefault(one.runtime, one)
            if (one.attempt, one.started_at) > (newest.attempt, newest.started_at):
                self._of[one.task][one.runtime] = one
            self._attempts[one.task] = max(one.attempt, self._attempts.get(one.task, 0))

    @classmethod
    def read(cls, folder: SweepFolder, *, machine: Machine | None = None) -> Outcomes:
        """The Results in a sweep's folder; of one machine, if `machine` is given."""
        events = folder.journal.events()
        found = _results(folder)
        if machine is not None:
            hosts = _Hosts(events)
            found = (one for one in found if _is_of(one, machine, hosts))
        attempts: dict[str, int] = {}
        for event in events:
            if event.what is What.RUNNING:
                attempts[event.task] = max(event.attempt, attempts.get(event.task, 0))
        return cls(found, attempts)

    def of(self, task: Task) -> list[Outcome | None]:
        """The newest Result of each of its Cases; None where there is none."""
        found = self._of.get(task.key, {})
        counted = {name: one for name, one in found.items() if one.attempt >= task.attempt}
        return [counted.get(name) for name in task.runtimes]

    def is_done(self, task: Task) -> bool:
        """Has each of its Cases a Result, measured or failed?"""
        return all(one is not None for one in self.of(task))

    def failures(self, task: Task) -> list[Outcome]:
        """Those of its Cases whose newest Result failed."""
        return [one for one in self.of(task) if one is not None and one.kind is not None]

    def left(self, tasks: Iterable[Task], retry: Retry = Retry.NONE, *, since: str = "") -> Iterator[Task]:
        """The tasks that aren't done, and those that are tried again, each at its next attempt.

        What was measured after `since` (a time as in Results) isn't tried again: an interrupted retry goes on.
        """

        def again(one: Outcome) -> bool:
            measured_since = one.kind is None and since and one.started_at >= since
            return retry.runs_again(one.kind) and not measured_since

        for task in tasks:
            if any(one is None or again(one) for one in self.of(task)):
                yield task.at(max(task.attempt, self._attempts.get(task.key, 0) + 1))

    def ids(self) -> set[str]:
        """The ids of the newest Results."""
        return {one.id for each in self._of.values() for one in each.values()}


class _Hosts:
    """On which machines the tasks were at work, as the journal says."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._of_result: dict[str, str] = {}
        self._of_task: dict[str, set[str]] = defaultdict(set)
        for event in events:
            if event.what in {What.RUNNING, What.ENDED}:
                self._of_task[event.task].add(event.host)
                self._of_result |= dict.fromkeys(event.results, event.host)

    def may_be(self, one: Outcome, hostname: str) -> bool:
        """Has nothing been written that says otherwise? A process may have been killed before it wrote anything."""
        host = self._of_result.get(one.id)
        hosts = {host} if host else self._of_task[one.task]
        return not hosts or hostname in hosts


def _is_of(one: Outcome, machine: Machine, hosts: _Hosts) -> bool:
    if not one.hostname:  # it failed before the machine was known
        return hosts.may_be(one, machine.hostname)
    return one.hostname == machine.hostname and one.cpu in {machine.cpu, ""}


def _results(folder: SweepFolder) -> Iterator[Outcome]:
    """Every whole Result of the sweep."""
    from isobench.results import index

    for row in index.rows(folder.results):
        if row.task:
            yield Outcome(
                id=row.name,
                task=row.task,
                runtime=row.label,
                case_key=row.case_key,
                attempt=row.attempt,
                started_at=row.started_at,
                kind=Ending(row.kind) if row.kind else None,
                hostname=row.hostname,
                cpu=row.cpu,
            )
