"""How long tasks will take: by earlier Results of the same Case, by similar ones, or by their settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import repeat
from typing import Protocol

from isobench.planning.plan import Plan
from isobench.record import record
from isobench.sweeps.task import PlannedCase, Task

START_S = 4.0
"""A guess: a worker's start, its imports, loading and warming up, and the host's part."""
SPREAD = 1.3
"""A guess: what disturbed blocks add to the time that is measured."""
PROCESSES_WITH_PRECISION = 5
ITERATIONS_S = 0.5
"""A guess at the time of `--iterations`, whose length nobody knows before."""


class Earlier(Protocol):
    """What the estimate uses of a Result: a row of `results.index` has it."""

    @property
    def case_key(self) -> str: ...

    @property
    def model_path(self) -> str: ...

    @property
    def model_hash(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def sweep(self) -> str: ...

    @property
    def started_at(self) -> str: ...

    @property
    def status(self) -> str: ...

    @property
    def duration_s(self) -> float | None: ...


class Source(StrEnum):
    """Where an estimate comes from."""

    EARLIER = "earlier"
    """A Result of the same CaseKey."""
    SIMILAR = "similar"
    """A Result of the same model on the same runtime, measured in another way."""
    GUESS = "guess"
    """The settings."""


@record(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A time in seconds, and how many cases it takes from which source."""

    seconds: float = 0.0
    earlier: int = 0
    similar: int = 0
    guessed: int = 0

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(
            seconds=self.seconds + other.seconds,
            earlier=self.earlier + other.earlier,
            similar=self.similar + other.similar,
            guessed=self.guessed + other.guessed,
        )

    @property
    def cases(self) -> int:
        return self.earlier + self.similar + self.guessed


class History:
    """What earlier Results took. `rows`: the newest first; the newest of each kind counts."""

    def __init__(self, rows: Iterable[Earlier] = ()) -> None:
        self._by_key: dict[str, float] = {}
        self._by_model: dict[tuple[str, str], dict[str, Earlier]] = {}
        for row in rows:
            self._add(row)

    def _add(self, row: Earlier) -> None:
        if row.duration_s is None:
            return
        if row.case_key:
            self._by_key.setdefault(row.case_key, row.duration_s)
        if row.status == "measured":
            models = self._by_model.setdefault((row.model_path, row.label), {})
            if all(map(_together, models.values(), repeat(row))):
                models.setdefault(row.model_hash, row)

    def of(self, tasks: Iterable[Task]) -> Estimate:
        """The time of the tasks, one after the other."""
        return sum(map(self.of_task, tasks), Estimate())

    def of_task(self, task: Task) -> Estimate:
        """The time of one task."""
        found = list(self._cases(task))
        if task.plan.interleaved and found:  # each Case takes as long as all of them together
            known = [seconds for seconds, source in found if source is Source.EARLIER]
            seconds = max(known) if known else sum(seconds for seconds, _ in found)
        else:
            seconds = sum(seconds for seconds, _ in found)
        sources = [source for _, source in found]
        return Estimate(
            seconds=seconds,
            earlier=sources.count(Source.EARLIER),
            similar=sources.count(Source.SIMILAR),
            guessed=sources.count(Source.GUESS),
        )

    def _cases(self, task: Task) -> Iterator[tuple[float, Source]]:
        plan = task.plan
        for case in task.cases:
            yield self._case(case, plan)
        if not task.cases:
            for model in plan.models:
                for runtime in map(str, plan.runtimes):
                    yield from self._models(str(model.path), model.hash, runtime, plan)

    def _case(self, case: PlannedCase, plan: Plan) -> tuple[float, Source]:
        known = self._by_key.get(case.case_key)
        if known is not None:
            return known, Source.EARLIER
        model = plan.models[0]
        for runtime in map(str, plan.runtimes):
            if case.label.endswith(f" on {runtime}"):
                return next(self._models(str(model.path), model.hash, runtime, plan))
        return _guess_s(plan), Source.GUESS

    def _models(self, path: str, model_hash: str, runtime: str, plan: Plan) -> Iterator[tuple[float, Source]]:
        """One estimate for each model that the script is known to call, or that is chosen by its hash."""
        known = self._by_model.get((path, runtime), {})
        chosen = [row for found, row in known.items() if found.startswith(model_hash)]
        if not path.endswith(".py"):
            chosen = chosen[:1]
        for row in chosen:
            assert row.duration_s is not None
            yield row.duration_s, Source.SIMILAR
        if not chosen:
            yield _guess_s(plan), Source.GUESS


def _together(one: Earlier, other: Earlier) -> bool:
    """Were they measured by the same sweep, or on the same day? A script that was edited calls other models."""
    return one.sweep == other.sweep and one.started_at[:10] == other.started_at[:10]


def _guess_s(plan: Plan) -> float:
    settings = plan.settings
    timed_s = ITERATIONS_S if settings.iterations is not None else settings.min_time_s * SPREAD
    processes = settings.processes
    if settings.precision is not None:
        processes = max(processes, PROCESSES_WITH_PRECISION)
    return processes * (START_S + timed_s)
