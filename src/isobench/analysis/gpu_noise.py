"""What a GPU did during a block, when that disturbs the block, and what a result must report of it. Pure Python.

The rules were fixed before anything was measured by them. On a GPU the CPU's rules apply, too, because the host queues
the work and copies the data end to end. Besides, a block is disturbed if

- heat or the hardware's own protection reduced the clocks: for more than `SLOWED_SHARE` of the block by the GPU's own
  counter or, on a GPU without that counter, at either end of the block; or
- the power brake, which has no counter, reduced them at either end; or
- others used more than `OTHERS_SHARE` of the GPU during the block.

A power cap is no disturbance: the work itself draws the power, and will do so the next time. It is reported, and so is
a measurement that is bound by the host, which needs longer to queue an inference than the GPU to run it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from isobench.constraints import Amount, Count, PositiveCount, Seconds
from isobench.record import record

SLOWED_SHARE = 0.01
OTHERS_SHARE = 0.02
HEAT_REASONS = 0x8 | 0x20 | 0x40
BRAKE_REASON = 0x80
CAPPED_REASON = 0x4
CAPPED_SHARE = 0.1
"""A power cap that reduced the clocks for more than this share of the time is reported."""
ENQUEUE_SHARE = 0.9
"""A measurement is bound by the host where queueing takes more than this share of an inference."""


@record(frozen=True, slots=True, kw_only=True)
class GpuBlock:
    """The GPU's part of a block; None is what the GPU doesn't report.

    `enqueue_s` is the median time that the host needs to queue one inference. `inferences` counts all that were run,
    also those that are timed by only one of the timing contracts, or by none. Seconds, joules and shares are of the
    block; `clock_reasons` are NVML's bits; the other states are those at the block's end.
    """

    enqueue_s: Seconds
    inferences: PositiveCount
    energy_j: Amount | None = None
    slowed_s: Seconds | None = None
    capped_s: Seconds | None = None
    clock_reasons: Count | None = None
    clock_mhz: Amount | None = None
    memory_clock_mhz: Amount | None = None
    power_w: Amount | None = None
    temperature_c: Amount | None = None
    utilization: Amount | None = None
    others: Count | None = None
    others_utilization: Amount | None = None

    def slowed(self, wall_s: float) -> bool:
        """Were the clocks reduced by anything but the work's own power?"""
        reasons = self.clock_reasons or 0
        if self.slowed_s is not None:
            return self.slowed_s > SLOWED_SHARE * wall_s or bool(reasons & BRAKE_REASON)
        return bool(reasons & (HEAT_REASONS | BRAKE_REASON))

    def shared(self) -> bool:
        """Did others use the GPU?"""
        return (self.others_utilization or 0.0) > OTHERS_SHARE

    def capped(self, wall_s: float) -> bool:
        """Did the power cap reduce the clocks?"""
        if self.capped_s is not None:
            return self.capped_s > CAPPED_SHARE * wall_s
        return bool((self.clock_reasons or 0) & CAPPED_REASON)


@record(frozen=True, slots=True, kw_only=True)
class GpuSummary:
    """A measurement's GPU: the time to queue an inference, its energy (waits included), power, clocks, temperature."""

    enqueue_s: Seconds
    energy_per_inference_j: float | None
    power_w: float | None
    clock_mhz_min: float | None
    clock_mhz_max: float | None
    temperature_c_max: float | None


def summarize_gpu(blocks: Sequence[GpuBlock]) -> GpuSummary | None:
    """The figures of all blocks together; None without blocks."""
    if not blocks:
        return None
    counted = [block for block in blocks if block.energy_j is not None]
    inferences = sum(block.inferences for block in counted)
    # Summed first: the counter moves every 100 ms, so that it means nothing for one short block.
    energy_j = math.fsum(block.energy_j or 0.0 for block in counted)
    clocks = [block.clock_mhz for block in blocks if block.clock_mhz is not None]
    powers = [block.power_w for block in blocks if block.power_w is not None]
    temperatures = [block.temperature_c for block in blocks if block.temperature_c is not None]
    return GpuSummary(
        enqueue_s=sorted(block.enqueue_s for block in blocks)[len(blocks) // 2],
        energy_per_inference_j=energy_j / inferences if inferences and energy_j else None,
        power_w=math.fsum(powers) / len(powers) if powers else None,
        clock_mhz_min=min(clocks, default=None),
        clock_mhz_max=max(clocks, default=None),
        temperature_c_max=max(temperatures, default=None),
    )


def gpu_notes(blocks: Sequence[tuple[GpuBlock, float]], median_s: float) -> list[str]:
    """What bound the measurement, in sentences, from blocks with their durations. None of it is noise."""
    notes = []
    summary = summarize_gpu([block for block, _ in blocks])
    if summary is not None and summary.enqueue_s > ENQUEUE_SHARE * median_s:
        notes.append(
            f"bound by the host, which takes {summary.enqueue_s * 1e6:.3g} \u00b5s to queue an inference of "
            f"{median_s * 1e6:.3g} \u00b5s: the GPU idles (use a CUDA graph or a larger batch)"
        )
    total_s = math.fsum(wall_s for _, wall_s in blocks)
    capped_s = math.fsum(wall_s for block, wall_s in blocks if block.capped(wall_s))
    if total_s and capped_s > CAPPED_SHARE * total_s and summary is not None:
        clocks = "" if summary.clock_mhz_min is None else f", to {summary.clock_mhz_min:.0f} MHz at the lowest"
        notes.append(f"the GPU's power cap reduced its clocks in {capped_s / total_s:.0%} of the time{clocks}")
    return notes


def gpu_noise(blocks: Sequence[tuple[GpuBlock, float]]) -> list[str]:
    """How a GPU was disturbed, in sentences, from blocks with their durations."""
    total_s = math.fsum(wall_s for _, wall_s in blocks)
    slowed_s = math.fsum(wall_s for block, wall_s in blocks if block.slowed(wall_s))
    shared_s = math.fsum(wall_s for block, wall_s in blocks if block.shared())
    parts = []
    if slowed_s:
        parts.append(f"heat or its own protection slowed the GPU in {slowed_s / total_s:.0%} of the time")
    if shared_s:
        parts.append(f"others used the GPU in {shared_s / total_s:.0%} of the time")
    return parts
