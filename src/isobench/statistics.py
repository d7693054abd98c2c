"""Samples -> figures, and how far they can be trusted. Pure Python: it has to be imported in no time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

OTHERS_CORES = 0.1
"""A block in which others used more than this many cores' time is contaminated."""
STEAL_SHARE = 0.02
"""So is one of which the hypervisor took more than this share."""
NOISY_SHARE = 0.25
"""A measurement is noisy when more than this share of its time lies in contaminated blocks."""
SHORTEST_S = 0.01
"""Less than this is too short to say anything: identical runs then differ by more than a tenth."""
ENOUGH_S = 0.1
"""What a measurement that was too short is advised to reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Latency of the timed iterations, in seconds; `throughput_ips` is inferences per second, 1 / `mean_s`.

    `stdev_s` is the sample's standard deviation (n - 1), 0 for one iteration. The quantiles are of type 7.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Consecutive iterations, with what else went on: seconds of CPU time are summed over the CPUs at hand."""

    iterations: int
    wall_s: float
    cpu_own_s: float
    cpu_others_s: float
    steal_s: float
    throttled_s: float
    involuntary_switches: int
    minor_faults: int
    major_faults: int

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Block:
        """The block that a worker described.

        Raises:
            ValueError: a member is missing, or is no number.
        """
        names = [field.name for field in fields(cls)]
        wrong = [name for name in names if type(value.get(name)) not in {int, float}]
        if wrong:
            raise ValueError(f"a block lacks a number for {', '.join(wrong)}")
        return cls(**{name: value[name] for name in names})

    def contaminated(self, resolution_s: float) -> bool:
        """Did anybody else take enough of the machine to be seen in the latency? Less than a tick isn't known."""
        others = self.cpu_others_s > OTHERS_CORES * self.wall_s + resolution_s
        return others or self.steal_s > STEAL_SHARE * self.wall_s + resolution_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How far a measurement can be trusted: "clean", "noisy" or "invalid", and why, in sentences."""

    status: str
    reasons: tuple[str, ...] = ()


def summarize(samples_ns: Sequence[int]) -> Summary:
    """Summarize the nanoseconds of each timed iteration.

    Raises:
        ValueError: there is no sample.
    """
    if not samples_ns:
        raise ValueError("there are no samples")
    ordered = sorted(samples_ns)
    count = len(ordered)
    mean = math.fsum(ordered) / count
    variance = math.fsum((sample - mean) ** 2 for sample in ordered) / (count - 1) if count > 1 else 0.0
    quantiles = {name: quantile(ordered, share) / 1e9 for name, share in QUANTILES.items()}
    return Summary(
        iterations=count,
        mean_s=mean / 1e9,
        median_s=quantiles["p50_s"],
        min_s=ordered[0] / 1e9,
        max_s=ordered[-1] / 1e9,
        stdev_s=math.sqrt(variance) / 1e9,
        throughput_ips=1e9 / mean,
        **quantiles,
    )


QUANTILES = {"p50_s": 0.5, "p90_s": 0.9, "p95_s": 0.95, "p99_s": 0.99}


def quantile(ordered: Sequence[float], share: float) -> float:
    """The quantile of values in ascending order, interpolated linearly.

    Type 7 of Hyndman and Fan, "Sample quantiles in statistical packages", The American Statistician 50 (1996).
    """
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def verdict(
    blocks: Sequence[Block], wrong: Sequence[str], *, samples_ns: Sequence[int], resolution_s: float = 0.0
) -> Verdict:
    """Judge a measurement by rules that were fixed before it was made.

    - "invalid": the outputs are wrong; `wrong` says how.
    - "noisy": the iterations lasted less than `SHORTEST_S` together; or more than `NOISY_SHARE` of the time lies in
      blocks in which others used more than `OTHERS_CORES` cores or the hypervisor took more than `STEAL_SHARE`.
    - "clean": none of these.

    `resolution_s` is the step in which the counters of CPU time grow.

    The limit of 0.1 core: leaving such blocks out brought the spread of identical runs from 16.6 % to 4.2 %.
    """
    reasons = list(wrong)
    # Of a moment nothing can be said of what others did in it.
    noise = _too_short(samples_ns) or _contaminated(blocks, resolution_s)
    if reasons:
        return Verdict(status="invalid", reasons=(*reasons, *noise))
    return Verdict(status="noisy" if noise else "clean", reasons=tuple(noise))


def _too_short(samples_ns: Sequence[int]) -> list[str]:
    total_s = sum(samples_ns) / 1e9
    if total_s >= SHORTEST_S:
        return []
    advised = math.ceil(ENOUGH_S / total_s * len(samples_ns))
    advised = math.ceil(advised / 10 ** (digits := len(str(advised)) - 1)) * 10**digits
    lasted = f"{len(samples_ns)} iterations lasted {total_s * 1000:.2g} ms together"
    return [f"{lasted}, too short to repeat: use --iterations {advised}"]


def _contaminated(blocks: Sequence[Block], resolution_s: float) -> list[str]:
    bad = [block for block in blocks if block.contaminated(resolution_s)]
    total_s, bad_s = (math.fsum(block.wall_s for block in some) for some in (blocks, bad))
    if not bad or bad_s <= NOISY_SHARE * total_s:
        return []
    others = math.fsum(block.cpu_others_s for block in bad) / bad_s
    steal = math.fsum(block.steal_s for block in bad) / bad_s
    how = f"{others:.2f} cores on average, {steal:.1%} stolen by the hypervisor"
    return [f"in {bad_s / total_s:.0%} of the time others used the machine ({how})"]
