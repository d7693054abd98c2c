"""The ratio of two latencies, from pairs of blocks that are neighbours in time where both were interleaved.

Most of the difference between two runs of the same thing is drift, which neighbours in time share, so that it cancels
in their ratio. An occasional disturbance of one round doesn't cancel. So of each pair of processes the quarter of the
rounds with the lowest ratios and the quarter with the highest are ignored (the interquartile mean: Rosenberger and
Gasko, "Comparing Location Estimators: Trimmed Means, Medians, and Trimean", in "Understanding Robust and Exploratory
Data Analysis", 1983). The remaining difference between processes (memory layout) is covered by interleaving several
pairs of processes, and by the noise floor of pairs. Rounds are resampled in stretches, since neighbouring rounds may
still be alike: the block bootstrap of Kuensch, "The Jackknife and the Bootstrap for General Stationary Observations",
Annals of Statistics 17 (1989), with a stretch length that grows as the cube root of the number of rounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from isobench.analysis.intervals import REPLICATES, Interval, draws, interval, replicates, unseen
from isobench.constraints import Positive
from isobench.record import record

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

ASSUMED_PAIR_FLOOR = 0.01
"""The relative standard deviation between identical interleaved pairs, on a machine that hasn't been calibrated."""
TRIMMED = 0.25
"""The share of a pair's rounds that is ignored at either end."""
MOST_WEIGHTS = 2_000_000
"""Weights (rounds times replicates) that are held in memory at once: 16 MB."""
MEDIAN = 1
"""The median's column in `replicates`."""


@record(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The second latency over the first: 1.05 is 5 % slower. `within` is a 95 % interval."""

    value: Positive
    within: Interval


def paired(
    pairs: Sequence[Sequence[tuple[float, float]]], *, floor: float = ASSUMED_PAIR_FLOOR, seed: int = 0
) -> Ratio:
    """The ratio of two interleaved latencies. `pairs` holds the medians of both blocks, for each round of each pair."""
    import numpy as np

    logs = [np.array([math.log(second / first) for first, second in rounds]) for rounds in pairs]
    stretches = [_lengths(len(each)) for each in logs]
    weights = draws([len(each) for each in stretches], np.random.default_rng(seed))
    drawn, first = np.zeros(REPLICATES), 0
    for each, lengths in zip(logs, stretches, strict=True):
        own = weights[:, first : first + len(lengths)]
        # A pair that was drawn twice counts twice; one that wasn't drawn has no mean.
        times = own.sum(axis=1) / len(lengths)
        for rows in np.array_split(np.flatnonzero(times), -(-REPLICATES * len(each) // MOST_WEIGHTS)):
            drawn[rows] += times[rows] / len(pairs) * _middle(each, np.repeat(own[rows], lengths, axis=1))
        first += len(lengths)
    noise = unseen(len(pairs), floor) * np.random.default_rng([seed, 1]).standard_normal(REPLICATES)
    value = math.fsum(middle(each) for each in logs) / len(logs)
    return Ratio(value=math.exp(value), within=interval(np.exp(drawn + noise)))


def middle(values: Sequence[float] | Array) -> float:
    """The mean of the middle half: the lowest and the highest quarter are ignored."""
    import numpy as np

    return float(_middle(np.asarray(values), np.ones((1, len(values))))[0])


def _middle(values: Array, weights: Array) -> Array:
    """For each row of weights, the mean of the middle half of the values; a value on the border counts in part."""
    import numpy as np

    order = np.argsort(values)
    upto = np.cumsum(weights[:, order], axis=1)
    total = upto[:, -1:]
    inside = np.clip(upto, TRIMMED * total, (1 - TRIMMED) * total)
    counted = np.diff(inside, axis=1, prepend=TRIMMED * total)
    means: Array = (counted @ values[order]) / counted.sum(axis=1)
    return means


def _lengths(rounds: int) -> list[int]:
    """The lengths of the stretches in which this number of rounds is resampled."""
    number = max(1, round(rounds / max(1, round(rounds ** (1 / 3)))))
    return [rounds // number + (place < rounds % number) for place in range(number)]


def unpaired(
    first: Sequence[Sequence[Sequence[float] | Array]],
    second: Sequence[Sequence[Sequence[float] | Array]],
    *,
    floor: float,
    seed: int = 0,
) -> Ratio:
    """The ratio of the medians of two that were measured at different times; both hold seconds by run and block."""
    import numpy as np

    one, other = (replicates(runs, floor=floor, seed=seed + n)[:, MEDIAN] for n, runs in enumerate((first, second)))
    medians = [float(np.median(np.concatenate([np.concatenate(run) for run in runs]))) for runs in (first, second)]
    return Ratio(value=medians[1] / medians[0], within=interval(other / one))
