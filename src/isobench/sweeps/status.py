"""Status: how far a sweep is, read from its folder; nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from isobench.failures import INFRASTRUCTURE
from isobench.planning.retry import Retry
from isobench.record import record
from isobench.results import index
from isobench.results.row import UNREADABLE, Row
from isobench.sweeps import history
from isobench.sweeps.estimate import Estimate
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import Event, What
from isobench.sweeps.outcomes import Outcomes
from isobench.sweeps.task import Task
from isobench.system import locks


@record(frozen=True, slots=True, kw_only=True)
class Running:
    """A task that is at work or waits for it. `where` is in words; `since` is in UTC, "" while it waits."""

    task: str
    label: str
    where: str
    since: str
    attempt: int


@record(frozen=True, slots=True, kw_only=True)
class Status:
    """How far a sweep is. `rows` are the Results that count, one a case; `total` and `left` are numbers of cases.

    `prepared`: all environments and builds are made; before, `total` may change, since a script may call several
    models. Of the cases that are left, `foreign` have Results of other machines, which don't count here. `unreadable`
    are the Results that can't be read: whichever cases they are of, are left. `estimate` is
    of what is left, if as many run side by side as now. `holder` is the process that works on it, in words; "" if there
    is none.
    """

    total: int
    left: int
    prepared: bool
    rows: tuple[Row, ...]
    running: tuple[Running, ...]
    attempts: Mapping[str, int]
    estimate: Estimate
    foreign: int = 0
    unreadable: tuple[Row, ...] = ()
    holder: str = ""

    @property
    def failed(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.status == "failed")

    @property
    def measured(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.status == "measured")

    @property
    def verdicts(self) -> Mapping[str, int]:
        """The measured cases by their verdict, those with wrong outputs by "wrong"."""
        return Counter("wrong" if row.outputs == "wrong" else str(row.verdict) for row in self.measured)

    @property
    def kinds(self) -> Mapping[str, int]:
        """The failed cases by the kind of failure, the most frequent first."""
        return dict(Counter(str(row.kind) for row in self.failed).most_common())

    @property
    def infrastructure(self) -> int:
        """The cases that failed because of the machine or the network."""
        return sum(row.kind in INFRASTRUCTURE for row in self.failed)


def read(folder: SweepFolder, outcomes: Outcomes, pending: Mapping[str, str]) -> Status:
    """The status of a sweep. `pending` are its tasks at work, as its executor sees them.

    Raises:
        UsageError: a file of the sweep can't be read.
    """
    holder = locks.holder(folder.lock_file)
    prepared = folder.tasks()
    tasks = folder.sweep.tasks if prepared is None else prepared
    events = folder.journal.events()
    rows = {row.name: row for row in index.rows(folder.results)}
    found = [(task, outcomes.of(task)) for task in tasks]
    counted = [rows[one.id] for _, each in found for one in each if one is not None and one.id in rows]
    left = [*outcomes.left(tasks, Retry.NONE)]
    there = {(row.task, row.label) for row in rows.values()}
    missing = [
        (task.key, name) for task, each in found for name, one in zip(task.runtimes, each, strict=True) if not one
    ]
    running = tuple(_running(tasks, pending, events))
    estimate = history.stored(rows.values()).of(left) if left else Estimate()
    return Status(
        total=sum(len(each) for _, each in found),
        left=len(missing),
        foreign=sum(one in there for one in missing),
        prepared=prepared is not None,
        rows=tuple(counted),
        unreadable=tuple(row for row in rows.values() if row.status == UNREADABLE),
        running=running,
        attempts=_attempts(events),
        holder=holder.in_words if holder else "",
        estimate=replace(estimate, seconds=estimate.seconds / max(1, sum(bool(one.since) for one in running))),
    )


def _running(tasks: Sequence[Task], pending: Mapping[str, str], events: Sequence[Event]) -> Iterator[Running]:
    labels = {task.key: task.label for task in tasks}
    last = {event.task: event for event in events if event.what in {What.RUNNING, What.SUBMITTED}}
    for key, where in pending.items():
        event = last.get(key)
        yield Running(
            task=key,
            label=labels.get(key, key),
            where=where,
            since=event.at if event and event.what is What.RUNNING else "",
            attempt=event.attempt if event else 1,
        )


def _attempts(events: Sequence[Event]) -> Mapping[str, int]:
    """The tasks that were tried more than once, and how often."""
    attempts: dict[str, int] = {}
    for event in events:
        if event.what is What.RUNNING:
            attempts[event.task] = max(event.attempt, attempts.get(event.task, 1))
    return {task: count for task, count in attempts.items() if count > 1}
