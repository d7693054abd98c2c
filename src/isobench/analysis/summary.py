"""Samples -> figures. numpy is imported by the functions that need it, so that this module is imported quickly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from isobench.constraints import Positive, PositiveCount, Seconds
from isobench.record import record

if TYPE_CHECKING:
    import numpy as np

ROUNDING = 1e-9
"""By which a quantile may exceed the next one."""
QUANTILES = {"p50_s": 0.5, "p90_s": 0.9, "p95_s": 0.95, "p99_s": 0.99}


@record(frozen=True, slots=True, kw_only=True)
class Summary:
    """Latency of one inference in seconds; `throughput_ips` is inferences per second, 1 / `mean_s`.

    A sample is one iteration, or the mean of a group of them where one is too short for the clock. `stdev_s` is the
    samples' standard deviation (n - 1), 0 for one sample. Quantiles are of the samples, by type 7 (see `quantile`).
    """

    iterations: PositiveCount
    mean_s: Positive
    median_s: Positive
    min_s: Seconds
    max_s: Positive
    stdev_s: Seconds
    p50_s: Positive
    p90_s: Positive
    p95_s: Positive
    p99_s: Positive
    throughput_ips: Positive

    def __post_init__(self) -> None:
        order = (self.min_s, self.p50_s, self.p90_s, self.p95_s, self.p99_s, self.max_s)
        if any(before > after * (1 + ROUNDING) for before, after in pairwise(order)):
            raise ValueError("min_s, p50_s, p90_s, p95_s, p99_s and max_s must be in ascending order")


def summarize(samples_ns: Sequence[float] | np.ndarray[Any, Any], *, group: int = 1) -> Summary:
    """Summarize samples, nanoseconds of `group` iterations each.

    Raises:
        ValueError: there are no samples.
    """
    import numpy as np

    count = len(samples_ns)
    if not count:
        raise ValueError("there are no samples")
    ordered = np.sort(np.asarray(samples_ns, dtype=float)) / group
    mean = float(ordered.mean())
    stdev = float(ordered.std(ddof=1)) if count > 1 else 0.0
    quantiles = {name: quantile(ordered, share) / 1e9 for name, share in QUANTILES.items()}
    return Summary(
        iterations=count * group,
        mean_s=mean / 1e9,
        median_s=quantiles["p50_s"],
        min_s=float(ordered[0]) / 1e9,
        max_s=float(ordered[-1]) / 1e9,
        stdev_s=stdev / 1e9,
        throughput_ips=1e9 / mean,
        **quantiles,
    )


def quantile(ordered: Sequence[float] | np.ndarray[Any, Any], share: float) -> float:
    """The quantile of values in ascending order, interpolated linearly.

    Type 7 of Hyndman and Fan, "Sample quantiles in statistical packages", The American Statistician 50 (1996).
    """
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (position - below) * (ordered[above] - ordered[below]))
