"""How much faster is one than the other? From pairs of blocks that are neighbours in time, where there are such.

Most of what makes two runs of the same thing differ is drift that neighbours in time share, so it drops out of their
ratio. What is left from process to process (memory layout) is met by taking turns in several pairs of processes, and by
the noise floor of pairs. Rounds are drawn again in stretches, since neighbours among them may still resemble each
other: the block bootstrap of Kuensch, "The Jackknife and the Bootstrap for General Stationary Observations", Annals of
Statistics 17 (1989), with the stretches' length growing as the cube root of their number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isobench.statistics.intervals import REPLICATES, Interval, draws, interval, replicates, unseen

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

ASSUMED_PAIR_FLOOR = 0.01
"""The relative standard deviation between identical pairs of processes that take turns, where nobody has calibrated."""
MEDIAN = 1
"""The median's column in replicates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The second latency over the first: 1.05 is 5 % slower. `within` is a 95 % interval."""

    value: float
    within: Interval


def paired(
    pairs: Sequence[Sequence[tuple[float, float]]], *, floor: float = ASSUMED_PAIR_FLOOR, seed: int = 0
) -> Ratio:
    """The ratio of two that took turns: for each pair of processes, the medians of both blocks of each round."""
    import numpy as np

    generator = np.random.default_rng(seed)
    stretches: list[list[Array]] = []
    for rounds in pairs:
        logs = np.array([math.log(second / first) for first, second in rounds])
        stretches.append(np.array_split(logs, max(1, round(len(logs) / max(1, round(len(logs) ** (1 / 3)))))))
    weights = draws([len(each) for each in stretches], generator)
    sums = np.array([stretch.sum() for each in stretches for stretch in each])
    counts = np.array([len(stretch) for each in stretches for stretch in each])
    drawn = (weights @ sums) / (weights @ counts)
    drawn = drawn + unseen(len(pairs), floor) * generator.standard_normal(REPLICATES)
    return Ratio(value=math.exp(sums.sum() / counts.sum()), within=interval(np.exp(drawn)))


def unpaired(
    first: Sequence[Sequence[Sequence[float] | Array]],
    second: Sequence[Sequence[Sequence[float] | Array]],
    *,
    floor: float,
    seed: int = 0,
) -> Ratio:
    """The ratio of the medians of two that were measured at different times: runs of blocks of seconds, each."""
    import numpy as np

    one, other = (replicates(runs, floor=floor, seed=seed + n)[:, MEDIAN] for n, runs in enumerate((first, second)))
    medians = [float(np.median(np.concatenate([np.concatenate(run) for run in runs]))) for runs in (first, second)]
    return Ratio(value=medians[1] / medians[0], within=interval(other / one))
