"""What a GPU did while a block was taken, when that disturbs it, and what is to be told of it. Pure Python.

The rules were fixed before anything was measured by them. On a GPU a block is contaminated, besides what the CPU's
rules say (the host queues the work, and takes part end to end), where

- heat or the hardware's own protection held the clocks down: for more than `SLOWED_SHARE` of the block by the GPU's
  own counter, or, where it has none, at either end of the block; or
- the power brake, of which there is no counter, held them down at either end; or
- others used more than `OTHERS_SHARE` of the GPU while it was taken.

A power cap is no disturbance: the work itself takes the power, and will take it the next time. It's told. So is a
measurement that is bound by the host, which needs longer to queue an inference than the GPU takes for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

SLOWED_SHARE = 0.01
OTHERS_SHARE = 0.02
HEAT_REASONS = 0x8 | 0x20 | 0x40
BRAKE_REASON = 0x80
CAPPED_REASON = 0x4
CAPPED_SHARE = 0.1
"""A result whose clocks were held down by the power cap for more than this share of the time says so."""
ENQUEUE_SHARE = 0.9
"""Queueing an inference takes more than this share of the inference: then the host sets the pace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuBlock:
    """The GPU's side of a block; None is what it doesn't tell.

    `enqueue_s` is the median time that the host needs to queue one inference; `inferences` are all that were run, also
    those that only one of the timing contracts, or none, counts. Seconds, joules and shares are of the block;
    `clock_reasons` are NVML's bits, the other states those at the block's end.
    """

    enqueue_s: float
    inferences: int
    energy_j: float | None = None
    slowed_s: float | None = None
    capped_s: float | None = None
    clock_reasons: int | None = None
    clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    utilization: float | None = None
    others: int | None = None
    others_utilization: float | None = None

    @classmethod
    def from_json(cls, value: Any) -> GpuBlock:
        """What a worker told of the GPU.

        Raises:
            ValueError: a member is missing, or is no number.
        """
        if not isinstance(value, Mapping):
            raise ValueError("a block's gpu is no object")  # noqa: TRY004 - a file's content is a value
        known = fields(cls)
        needed = [field.name for field in known if field.default is MISSING or value.get(field.name) is not None]
        wrong = [name for name in needed if type(value.get(name)) not in {int, float}]
        if wrong:
            raise ValueError(f"a block's gpu lacks a number for {', '.join(wrong)}")
        return cls(**{name: value[name] for name in needed})

    def slowed(self, wall_s: float) -> bool:
        """Were the clocks held down by something else than the work's own power?"""
        reasons = self.clock_reasons or 0
        if self.slowed_s is not None:
            return self.slowed_s > SLOWED_SHARE * wall_s or bool(reasons & BRAKE_REASON)
        return bool(reasons & (HEAT_REASONS | BRAKE_REASON))

    def shared(self) -> bool:
        """Did others use it?"""
        return (self.others_utilization or 0.0) > OTHERS_SHARE

    def capped(self, wall_s: float) -> bool:
        """Did the power cap hold the clocks down?"""
        if self.capped_s is not None:
            return self.capped_s > CAPPED_SHARE * wall_s
        return bool((self.clock_reasons or 0) & CAPPED_REASON)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSummary:
    """A measurement's GPU: energy an inference (waits between them included), clocks, power, the time to queue one."""

    enqueue_s: float
    energy_per_inference_j: float | None
    power_w: float | None
    clock_mhz_min: float | None
    clock_mhz_max: float | None
    temperature_c_max: float | None


def summarize_gpu(blocks: Sequence[GpuBlock]) -> GpuSummary | None:
    """The figures of blocks together; None where there are none."""
    if not blocks:
        return None
    told = [block for block in blocks if block.energy_j is not None]
    inferences = sum(block.inferences for block in told)
    # A counter that moves every 100 ms says nothing of one short block, and all of many.
    energy_j = math.fsum(block.energy_j or 0.0 for block in told)
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
    """What is to be told of the GPU, as sentences, of blocks and how long each lasted: it's no noise."""
    notes = []
    summary = summarize_gpu([block for block, _ in blocks])
    if summary is not None and summary.enqueue_s > ENQUEUE_SHARE * median_s:
        notes.append(
            f"bound by the host: it needs {summary.enqueue_s * 1e6:.3g} \u00b5s to queue an inference that takes "
            f"{median_s * 1e6:.3g} \u00b5s, so the GPU waits (a CUDA graph or a larger batch would keep it busy)"
        )
    total_s = math.fsum(wall_s for _, wall_s in blocks)
    capped_s = math.fsum(wall_s for block, wall_s in blocks if block.capped(wall_s))
    if total_s and capped_s > CAPPED_SHARE * total_s and summary is not None:
        clocks = "" if summary.clock_mhz_min is None else f", {summary.clock_mhz_min:.0f} MHz at the lowest"
        notes.append(f"the GPU's power cap held its clocks down in {capped_s / total_s:.0%} of the time{clocks}")
    return notes


def gpu_noise(blocks: Sequence[tuple[GpuBlock, float]]) -> list[str]:
    """How a GPU was disturbed, as parts of a sentence."""
    total_s = math.fsum(wall_s for _, wall_s in blocks)
    slowed_s = math.fsum(wall_s for block, wall_s in blocks if block.slowed(wall_s))
    shared_s = math.fsum(wall_s for block, wall_s in blocks if block.shared())
    parts = []
    if slowed_s:
        parts.append(f"the GPU was slowed by heat or its own protection in {slowed_s / total_s:.0%} of the time")
    if shared_s:
        parts.append(f"others used the GPU in {shared_s / total_s:.0%} of the time")
    return parts
