"""Interleaving: the workers of several Cases are alive at once and take a block each, in a new order every round.

What drifts then drifts for all. Those that wait are really idle: each parks its threads after its block, and begins its
next one with inferences that aren't timed (`workers/timing.py`); what it would still use while it waits is seen in the
evidence of the others' blocks.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from isobench.errors import IsobenchError
from isobench.measuring.case import Case
from isobench.planning.settings import Settings
from isobench.results import Turns
from isobench.runtimes.base import as_worker_error
from isobench.runtimes.worker_rt import WorkerRT, no_turns
from isobench.supervisor.sampling import Sampler

if TYPE_CHECKING:
    from isobench.measuring.evaluation import CompletedRun
    from isobench.results import Result

LEAST_ROUNDS = 10


def measure(
    cases: Sequence[Case], settings: Settings, on_stage: Callable[[str], None]
) -> Iterator[tuple[Case, Result | IsobenchError]]:
    """Measure Cases that are prepared in turns, in `settings.processes` sets of processes, one set after the other.

    Where a precision is asked for, there are as many more sets as it takes for all of them. A Case that fails comes
    with its error; the others go on without it. To be called with the device to itself.
    """
    generator = random.Random(settings.seed)  # noqa: S311 - an order to be drawn again, not a secret
    runs: dict[Case, list[CompletedRun]] = {case: [] for case in cases}
    errors: dict[Case, IsobenchError] = {}
    order: list[tuple[tuple[int, ...], ...]] = []
    while len(order) < settings.processes or _more([runs[case] for case in cases if case not in errors], settings):
        with ExitStack() as cleanup:
            seats = []
            for case in (case for case in cases if case not in errors):
                with _apart(case, errors):
                    seats.append(_Seat(case, cleanup, first=not order))
            on_stage(f"measuring in turns, set {len(order) + 1}")
            order.append(_rounds(seats, [*cases], settings, generator, errors))
            for seat in seats:
                if seat.case not in errors:
                    with _apart(seat.case, errors):
                        runs[seat.case].append(seat.finish())
    together = os.urandom(4).hex()
    for place, case in enumerate(cases):
        if case in errors:
            yield case, errors[case]
        else:
            turns = Turns(id=together, place=place, seed=settings.seed, order=tuple(order))
            yield case, case.result(runs[case], turns)


def _more(runs: Sequence[Sequence[CompletedRun]], settings: Settings) -> bool:
    """Is one of them not as precise as was asked for, and has time left?"""
    from isobench.measuring import evaluation

    return not all(evaluation.enough(each, evaluation.evaluate(each, settings), settings) for each in runs)


@contextmanager
def _apart(case: Case, errors: dict[Case, IsobenchError]) -> Iterator[None]:
    """Keep what goes wrong with one Case from the others: note it as its error."""
    try:
        yield
    except IsobenchError as error:
        errors[case] = error
    except Exception as error:  # noqa: BLE001 - a plugin's code may raise anything
        errors[case] = as_worker_error(error, case.entry.name)


def _rounds(
    seats: Sequence[_Seat],
    places: Sequence[Case],
    settings: Settings,
    generator: random.Random,
    errors: dict[Case, IsobenchError],
) -> tuple[tuple[int, ...], ...]:
    """Let everybody take a block, round after round, until all have enough; return who came when."""
    taken: list[tuple[int, ...]] = []
    while any(seat.wants_more or len(taken) < LEAST_ROUNDS for seat in seats if seat.case not in errors):
        turn = [seat for seat in seats if seat.case not in errors]
        generator.shuffle(turn)
        for seat in turn:
            with _apart(seat.case, errors):
                seat.take()
        taken.append(tuple(places.index(seat.case) for seat in turn))
        if all(seat.measured_s >= settings.max_time_s for seat in turn):
            break
    return tuple(taken)


class _Seat:
    """One Case's worker, warm, waiting for its turns."""

    def __init__(self, case: Case, cleanup: ExitStack, *, first: bool) -> None:
        self.case = case
        self.measured_s = 0.0
        self._began = datetime.now(UTC)
        runtime = case.begin()
        cleanup.callback(runtime.close)
        if not isinstance(runtime, WorkerRT):
            raise no_turns(case.entry.name)
        self._runtime = runtime
        if first:
            case.check()
        else:
            case.entry.require()
        ready = self._runtime.join()
        self._sampler = Sampler(case.plan.settings, ready)

    @property
    def wants_more(self) -> bool:
        return bool(self._sampler.next())

    def take(self) -> None:
        block = self._runtime.take(self._sampler.block_samples)
        self._sampler.add(block)
        self.measured_s += block.wall_s

    def finish(self) -> CompletedRun:
        self._runtime.finish()
        return self.case.completed(self._runtime, self._runtime.performance(), self._began)
