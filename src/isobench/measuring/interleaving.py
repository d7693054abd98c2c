"""Interleaving: the workers of several Cases are alive at once, and each takes one block per round.

The order is new in each round, so that drift affects all alike. A worker that waits is idle: it quiesces its threads
after its block, and rewarms with untimed inferences before its next one (`workers/timing.py`). What it still uses
meanwhile appears as noise in the blocks of the others.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from isobench.errors import IsobenchError
from isobench.measuring.case import Case
from isobench.planning.settings import Settings
from isobench.results import Turns
from isobench.runtimes.worker_rt import WorkerRT, not_interleavable
from isobench.supervisor.sampling import Sampler

if TYPE_CHECKING:
    from isobench.measuring.evaluation import CompletedRun
    from isobench.results import Result

LEAST_ROUNDS = 10


def measure(
    cases: Sequence[Case], settings: Settings, on_stage: Callable[[str], None]
) -> Iterator[tuple[Case, Result | IsobenchError]]:
    """Measure prepared Cases interleaved, in `settings.processes` sets of runs, one set after the other.

    With `settings.precision`, sets are added until all Cases have reached it. A Case that fails is returned with its
    error; the others continue without it. Call this only while the device is locked.
    """
    generator = random.Random(settings.seed)  # noqa: S311 - an order that can be reproduced, not a secret
    runs: dict[Case, list[CompletedRun]] = {case: [] for case in cases}
    errors: dict[Case, IsobenchError] = {}
    order: list[tuple[tuple[int, ...], ...]] = []
    while len(order) < settings.processes or _more(runs, errors, settings):
        with ExitStack() as cleanup:
            participants = []
            for case in (case for case in cases if case not in errors):
                with _isolated(case, errors):
                    participants.append(_Participant(case, cleanup, first=not order))
            on_stage(f"measuring interleaved, set {len(order) + 1}")
            order.append(_rounds(participants, cases, settings, generator, errors))
            for participant in participants:
                if participant.case not in errors:
                    with _isolated(participant.case, errors):
                        runs[participant.case].append(participant.finish())
    group = os.urandom(4).hex()
    for place, case in enumerate(cases):
        turns = Turns(id=group, place=place, seed=settings.seed, order=tuple(order))
        outcome: Result | None = None
        with _isolated(case, errors):
            outcome = case.result(runs[case], turns) if case not in errors else None
        yield case, outcome or errors[case]


def _more(runs: Mapping[Case, Sequence[CompletedRun]], errors: dict[Case, IsobenchError], settings: Settings) -> bool:
    """Is any Case less precise than requested, with time left?"""
    from isobench.measuring import evaluation

    found = []
    for case, each in runs.items():
        if case not in errors:
            with _isolated(case, errors):
                found.append(not evaluation.enough(each, evaluation.evaluate(each, settings), settings))
    return any(found)


@contextmanager
def _isolated(case: Case, errors: dict[Case, IsobenchError]) -> Iterator[None]:
    """Record a failure of one Case as its error, so that the others continue."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - whatever it is
        errors[case] = case.failure(error)


def _rounds(
    participants: Sequence[_Participant],
    cases: Sequence[Case],
    settings: Settings,
    generator: random.Random,
    errors: dict[Case, IsobenchError],
) -> tuple[tuple[int, ...], ...]:
    """Take one block of each participant per round until all have enough; return each round's order of Cases."""
    order: list[tuple[int, ...]] = []
    while any(_wants_more(one, errors) or len(order) < LEAST_ROUNDS for one in _well(participants, errors)):
        shuffled = _well(participants, errors)
        generator.shuffle(shuffled)
        for one in shuffled:
            with _isolated(one.case, errors):
                one.take_block()
        order.append(tuple(cases.index(one.case) for one in shuffled))
        if all(one.measured_s >= settings.max_time_s for one in shuffled):
            break
    return tuple(order)


def _well(participants: Sequence[_Participant], errors: Mapping[Case, IsobenchError]) -> list[_Participant]:
    """Those that haven't failed."""
    return [one for one in participants if one.case not in errors]


def _wants_more(one: _Participant, errors: dict[Case, IsobenchError]) -> bool:
    more = False
    with _isolated(one.case, errors):
        more = one.wants_more
    return more and one.case not in errors


class _Participant:
    """One Case's worker, warm, between its blocks."""

    def __init__(self, case: Case, cleanup: ExitStack, *, first: bool) -> None:
        self.case = case
        self.measured_s = 0.0
        self._began = datetime.now(UTC)
        runtime = case.begin()
        cleanup.callback(case.close, runtime)
        if not isinstance(runtime, WorkerRT):
            raise not_interleavable(case.entry.name)
        self._runtime = runtime
        if first:
            case.check()
        else:
            case.entry.require()
            case.verify()
        self._sampler = Sampler(case.plan.settings, runtime.start_interleaved())

    @property
    def wants_more(self) -> bool:
        return bool(self._sampler.next())

    def take_block(self) -> None:
        block = self._runtime.take_block(self._sampler.block_samples)
        self._sampler.add(block)
        self.measured_s += block.wall_s

    def finish(self) -> CompletedRun:
        self._runtime.finish()
        return self.case.completed(self._runtime, self._runtime.performance(), self._began)
