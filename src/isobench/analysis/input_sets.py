"""Does the latency depend on the inputs? From samples that were taken of several sets of inputs in rotation.

Consecutive samples are of different sets, so whatever disturbs the machine disturbs all sets alike. The medians of two
sets are compared block by block (`ratios.paired`). The latency depends on the inputs if the 95 % interval of the ratio
of the slowest to the fastest set lies above `LEAST_DIFFERENCE`: the slowest of several equal sets is always a little
slower than the fastest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from isobench.analysis.intervals import Interval, intervals_of
from isobench.analysis.ratios import Ratio, paired
from isobench.constraints import Positive
from isobench.record import record

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

LEAST_DIFFERENCE = 1.05
LEAST_BLOCKS = 5
"""Fewer blocks say nothing: one disturbance would decide."""


@record(frozen=True, slots=True, kw_only=True)
class SetLatency:
    """The median latency with one set of inputs, and its 95 % interval, in seconds; `name` is of the user's files."""

    name: str
    median_s: Positive
    within: Interval


@record(frozen=True, slots=True, kw_only=True)
class InputSets:
    """The sets in the order of their samples. `ratio` is that of the slowest to the fastest.

    `depends`: the latency depends on which set is used; None where there are fewer than `LEAST_BLOCKS` blocks.
    """

    sets: tuple[SetLatency, ...]
    ratio: Ratio
    depends: bool | None


def compare(names: Sequence[str], runs: Sequence[Sequence[Array]], *, floor: float) -> InputSets:
    """Compare the sets. `runs` holds the blocks of each run, in seconds; sample `n` of a block is of set `n % sets`.

    `floor` is the relative standard deviation between identical runs, for the intervals of the single medians.
    """
    import numpy as np

    count = len(names)
    by_set = [[[block[place::count] for block in run] for run in runs] for place in range(count)]
    medians = [float(np.median(np.concatenate([block for run in each for block in run]))) for each in by_set]
    found = tuple(
        SetLatency(name=name, median_s=median_s, within=intervals_of(each, floor=floor)["median_s"])
        for name, median_s, each in zip(names, medians, by_set, strict=True)
    )
    fastest, slowest = by_set[medians.index(min(medians))], by_set[medians.index(max(medians))]
    pairs = [
        [(float(np.median(one)), float(np.median(other))) for one, other in zip(first, second, strict=True)]
        for first, second in zip(fastest, slowest, strict=True)
    ]
    ratio = paired(pairs)
    known = sum(map(len, runs)) >= LEAST_BLOCKS
    return InputSets(sets=found, ratio=ratio, depends=ratio.within.low > LEAST_DIFFERENCE if known else None)
