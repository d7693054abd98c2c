"""Measures this machine's noise floor: one Case against itself, as if it were two."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from isobench import paths
from isobench.errors import ResultError, UsageError
from isobench.planning.plan import Plan
from isobench.results import Measured, SavedResult, compare, noise_floor
from isobench.results.noise_floor import Floor


def calibrate(
    plan: Plan, measure: Callable[[Plan], Iterable[SavedResult]], *, runs: int, pairs: int
) -> tuple[Floor, bool]:
    """Measure a plan's one Case in `runs` processes, then against itself in `pairs` interleaved pairs.

    `measure` measures a plan. The noise floor is stored for this machine, the Results are saved like any others.
    Returns the noise floor, and whether the machine was quiet.

    Raises:
        UsageError: the plan isn't one Case.
        IsobenchError: measuring failed.
        ResultError: the noise floor can't be saved; the details have it.
    """
    alone = _measured(measure(replace(plan, settings=replace(plan.settings, processes=runs))), 1)
    [outcome] = [one.result.outcome for one in alone]
    assert isinstance(outcome, Measured)
    [runtime] = plan.runtimes
    against_itself = replace(
        plan, runtimes=(runtime, runtime), interleaved=True, settings=replace(plan.settings, processes=pairs)
    )
    first, second = _measured(measure(against_itself), 2)
    logs = compare.log_ratios(first, second)
    found = Floor(
        runs=statistics.stdev(math.log(each.median_s) for each in outcome.runs),
        # Their mean is known to be zero: nothing differs.
        pairs=math.sqrt(math.fsum(log**2 for log in logs) / len(logs)),
        source=f"{first.result.model.name} on {runtime}, {runs} runs, {pairs} pairs, {datetime.now(UTC):%Y-%m-%d}",
    )
    try:
        noise_floor.save(found)
    except OSError as error:
        raise ResultError(
            f"the noise floor can't be saved in {paths.calibration()}: {error.strerror}",
            details=f"identical runs differ by {found.runs:.2%}, identical interleaved pairs by {found.pairs:.2%}",
        ) from None
    return found, outcome.verdict.status == "clean"


def _measured(saved: Iterable[SavedResult], wanted: int) -> list[SavedResult]:
    found = list(saved)
    for one in found:
        _ = one.result.latency  # raises where it failed
    if len(found) != wanted:
        raise UsageError(f"calibrate needs one model, got {len(found)}", hint="Choose one: model.py::HASH")
    return found
