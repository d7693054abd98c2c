"""Measures this machine's noise floor: the same thing, again and again, as if it were two things."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from isobench import calibration, comparing
from isobench.calibration import Floor
from isobench.errors import UsageError
from isobench.measuring.case import Plan
from isobench.measuring.runner import Progress, Saved, run
from isobench.results import Measured


def calibrate(plan: Plan, progress: Progress, *, runs: int, pairs: int) -> tuple[Floor, bool]:
    """Measure a plan's one Case in `runs` processes, then against itself in `pairs` pairs that take turns.

    What is found is kept for this machine; the Results are saved like any others. Tells, too, whether the machine was
    quiet meanwhile.

    Raises:
        UsageError: the plan isn't one Case.
        IsobenchError: it came to no measurement.
    """
    alone = _measured(run(replace(plan, settings=replace(plan.settings, processes=runs)), progress), 1)
    [outcome] = [one.result.outcome for one in alone]
    assert isinstance(outcome, Measured)
    [entry] = plan.runtimes
    against_itself = replace(
        plan, runtimes=[entry, entry], in_turns=True, settings=replace(plan.settings, processes=pairs)
    )
    first, second = _measured(run(against_itself, progress), 2)
    logs = comparing.log_ratios((first.result, first.folder), (second.result, second.folder))
    found = Floor(
        runs=statistics.stdev(math.log(each.median_s) for each in outcome.runs),
        # Their mean is known: nothing differs.
        pairs=math.sqrt(math.fsum(log**2 for log in logs) / len(logs)),
        source=f"{first.result.model.name} on {entry.name}, {runs} runs, {pairs} pairs, {datetime.now(UTC):%Y-%m-%d}",
    )
    calibration.remember(found)
    return found, outcome.verdict.status == "clean"


def _measured(saved: Iterable[Saved], wanted: int) -> list[Saved]:
    found = list(saved)
    for one in found:
        _ = one.result.latency  # raises where it failed
    if len(found) != wanted:
        raise UsageError(f"one model is calibrated with, not {len(found)}", hint="Name one: model.py::HASH")
    return found
