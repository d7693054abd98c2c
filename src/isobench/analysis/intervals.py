"""Confidence intervals of the figures, from runs and blocks, never from iterations.

Iterations of one process are more alike than those of two processes, and iterations of one moment more than those of
two: an interval from pooled iterations is several times too narrow. So runs and, within them, blocks are resampled: the
hierarchical (multi-level) bootstrap of Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013;
Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8.

Resampling a few runs underestimates the variance between runs, and one run shows none of it. The missing part is taken
from the machine's noise floor, which counts as much as `FLOOR_RUNS` more runs (F): each replicate of R runs is
multiplied by a normal variate around 1, of standard deviation floor * sqrt(F / (R * (F + R - 1))). For one run that is
the floor itself; with more runs it vanishes faster than 1 / sqrt(R).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from isobench.analysis.summary import quantile
from isobench.record import record

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

REPLICATES = 1000
CONFIDENCE = 0.95
ASSUMED_FLOOR = 0.03
"""The relative standard deviation between identical runs on a machine that hasn't been calibrated."""
FLOOR_RUNS = 3
MOST_POINTS = 20_000
"""More samples than this are thinned, block by block, for quantiles."""

MOST_BLOCKS = 400
"""More blocks than this are resampled in stretches of neighbours: time and memory grow with their number."""

QUANTILES = {"median_s": 0.5, "p90_s": 0.9, "p99_s": 0.99}
FIGURES = ("mean_s", *QUANTILES)
"""The figures that have an interval."""


@record(frozen=True, slots=True, kw_only=True)
class Interval:
    """A 95 % interval of one figure, in the figure's own unit."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low must be at most high, got {self.low} and {self.high}")

    def relative(self, figure: float) -> float:
        """Half of its width, as a share of the figure."""
        return (self.high - self.low) / 2 / figure


def intervals_of(
    runs: Sequence[Sequence[Sequence[float] | Array]], *, floor: float = ASSUMED_FLOOR, seed: int = 0
) -> dict[str, Interval]:
    """Intervals of mean, median, p90 and p99, by their names in `Summary`.

    `runs` holds the blocks of each run, and each block its samples in seconds per inference. `floor` is the relative
    standard deviation between identical runs. The same samples and seed give the same intervals.
    """
    drawn = replicates(runs, floor=floor, seed=seed)
    return {name: interval(drawn[:, column]) for column, name in enumerate(FIGURES)}


def replicates(runs: Sequence[Sequence[Sequence[float] | Array]], *, floor: float, seed: int) -> Array:
    """Mean, median, p90 and p99 (a column each) of each replicate (a row each): runs and blocks, resampled."""
    import numpy as np

    generator = np.random.default_rng(seed)
    together = -(-sum(map(len, runs)) // MOST_BLOCKS)
    stretches = [[run[first : first + together] for first in range(0, len(run), together)] for run in runs]
    weights = draws([len(run) for run in stretches], generator)
    blocks = [np.concatenate(stretch, dtype=float) for run in stretches for stretch in run]
    noise = 1 + unseen(len(runs), floor) * generator.standard_normal(REPLICATES)
    drawn: Array = np.column_stack([_means(blocks, weights), _quantiles(blocks, weights, list(QUANTILES.values()))])
    return drawn * noise[:, None]


def interval(drawn: Array) -> Interval:
    """The middle 95 % of replicates."""
    ordered = sorted(drawn.tolist())
    return Interval(low=quantile(ordered, (1 - CONFIDENCE) / 2), high=quantile(ordered, (1 + CONFIDENCE) / 2))


def unseen(runs: int, floor: float) -> float:
    """The standard deviation that this number of runs can't show of the spread between runs: see the module."""
    return floor * float((FLOOR_RUNS / (runs * (FLOOR_RUNS + runs - 1))) ** 0.5)


def draws(blocks_of_runs: Sequence[int], generator: np.random.Generator) -> Array:
    """How often each block is drawn in each replicate: runs are drawn, then blocks within each drawn run."""
    import numpy as np

    runs = len(blocks_of_runs)
    drawn = generator.multinomial(runs, np.full(runs, 1 / runs), REPLICATES)
    parts = [
        generator.multinomial(drawn[:, run] * blocks, np.full(blocks, 1 / blocks))
        for run, blocks in enumerate(blocks_of_runs)
    ]
    return np.concatenate(parts, axis=1)


def _means(blocks: Sequence[Array], weights: Array) -> Array:
    import numpy as np

    sums = np.array([block.sum() for block in blocks])
    counts = np.array([len(block) for block in blocks])
    means: Array = (weights @ sums) / (weights @ counts)
    return means


def _points(blocks: Sequence[Array]) -> tuple[Array, Array, Array]:
    """All samples in ascending order, with the block of each, and the number of samples that each represents."""
    import numpy as np

    thinner = max(1.0, sum(map(len, blocks)) / MOST_POINTS)
    points, owners, shares = [], [], []
    for number, block in enumerate(blocks):
        count = max(1, round(len(block) / thinner))
        ordered = np.sort(block)
        # Not np.quantile, which partitions the block for each of these points: hundreds of times as slow.
        middles = (np.arange(count) + 0.5) / count * (len(block) - 1)
        points.append(ordered if count == len(block) else np.interp(middles, np.arange(len(block)), ordered))
        owners.append(np.full(count, number))
        shares.append(np.full(count, len(block) / count))
    values = np.concatenate(points)
    order = np.argsort(values, kind="stable")
    return values[order], np.concatenate(owners)[order], np.concatenate(shares)[order]


def _quantiles(blocks: Sequence[Array], weights: Array, shares: Sequence[float]) -> Array:
    """The quantiles of each replicate (a row each, a column for each share), all at once, by bisection."""
    import numpy as np

    points, owners, counts = _points(blocks)
    # How many samples of each block (columns) lie at or below each point (rows).
    below = np.zeros((len(points), len(blocks)))
    below[np.arange(len(points)), owners] = counts
    np.cumsum(below, axis=0, out=below)
    wanted = np.outer(weights @ below[-1], shares)
    low, high = np.zeros(wanted.shape, dtype=int), np.full(wanted.shape, len(points) - 1)
    while (low < high).any():
        middle = (low + high) // 2
        enough = np.einsum("rsb,rb->rs", below[middle], weights) >= wanted
        low, high = np.where(enough, low, middle + 1), np.where(enough, middle, high)
    found: Array = points[low]
    return found
