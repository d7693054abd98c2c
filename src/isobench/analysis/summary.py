"""Samples -> figures. numpy is imported by the functions that need it, so that this module is imported quickly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from isobench.record import record

if TYPE_CHECKING:
    import numpy as np

QUANTILES = {"p50_s": 0.5, "p90_s": 0.9, "p95_s": 0.95, "p99_s": 0.99}


@record(frozen=True, slots=True, kw_only=True)
class Summary:
    """Latency of one inference in seconds; `throughput_ips` is inferences per second, 1 / `mean_s`.

    A sample is one iteration, or the mean of a group of them where one is too short for the clock. `stdev_s` is the
    samples' standard deviation (n - 1), 0 for one sample. Quantiles are of the samples, by type 7 (see `quantile`).
    """

    iterations: int
    mean_s: float
    median_s: float
    min_s: float
    max_s: float
    stdev_s: float
    p50_s: float
    p90_s: float
    p95_s: float
    p99_s: float
    throughput_ips: float


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
