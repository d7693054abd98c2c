"""Which blocks of samples were disturbed, and how far a measurement can be trusted. Pure Python, for quick import.

The rules were fixed before anything was measured by them. A block is contaminated where, while it was taken,

- others used more than `OTHERS_CORES` cores' time of our CPUs (leaving such blocks out brought the spread of identical
  runs from 16.6 % to 4.2 %), `KERNEL_SHARE` of our own time aside, or
- the hypervisor took more than `STEAL_SHARE` of the time, or
- our own control group was throttled, or
- its GPU was slowed or shared (`statistics.gpu`).

What the counters can't resolve counts as nothing. Contaminated blocks are set aside, never thrown away: as long as
`LEAST_CLEAN` of the time is clean, the figures are those of the clean blocks, and those of all stand beside them.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from isobench.analysis.gpu_noise import GpuBlock, gpu_noise, gpu_notes

OTHERS_CORES = 0.1
KERNEL_SHARE = 0.005
"""What the kernel's ticks take of each CPU that we use; where it tells interrupts apart, that isn't our own time."""
STEAL_SHARE = 0.02
LEAST_CLEAN = 0.25
"""Below this share of clean time, a measurement is noisy, and nothing is set aside."""
SHORTEST_S = 0.01
"""Less than this is too short to say anything: identical runs then differ by more than a tenth."""
ENOUGH_S = 0.1
"""What a measurement that was too short is advised to reach."""
FAULT_S = 0.25e-6
"""What a page fault costs at the least; a result of which faults make more than `FAULT_SHARE` is bound by them."""
FAULT_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Consecutive samples, with what else went on: seconds of CPU time are summed over the CPUs at hand.

    `started_s` is by the machine's monotonic clock: it tells the order of blocks that several workers took in turn.
    `gpu` is what the GPU did, where the model ran on one.
    """

    samples: int
    iterations: int
    started_s: float
    wall_s: float
    cpu_own_s: float
    cpu_others_s: float
    steal_s: float
    throttled_s: float
    involuntary_switches: int
    minor_faults: int
    major_faults: int
    frequency_mhz: float | None = None
    parked_s: float = 0.0
    gpu: GpuBlock | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Block:
        """The block that a worker described.

        Raises:
            ValueError: a member is missing, or is no number.
        """
        known = [field for field in fields(cls) if field.name != "gpu"]
        needed = [field.name for field in known if field.default is MISSING or value.get(field.name) is not None]
        wrong = [name for name in needed if type(value.get(name)) not in {int, float}]
        if wrong:
            raise ValueError(f"a block lacks a number for {', '.join(wrong)}")
        gpu = GpuBlock.from_json(value["gpu"]) if value.get("gpu") is not None else None
        return cls(gpu=gpu, **{name: value[name] for name in needed})

    def contaminated(self, resolution_s: float) -> bool:
        """Did anybody else take enough of the machine to be seen in the latency? Less than a tick isn't known."""
        allowed_s = OTHERS_CORES * self.wall_s + KERNEL_SHARE * self.cpu_own_s + resolution_s
        stolen = self.steal_s > STEAL_SHARE * self.wall_s + resolution_s
        gpu = self.gpu is not None and (self.gpu.slowed(self.wall_s) or self.gpu.shared())
        return self.cpu_others_s > allowed_s or stolen or self.throttled_s > resolution_s or gpu


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which blocks the figures are of: `used` says so of each; `set_aside_s` is the time of the others."""

    used: tuple[bool, ...]
    set_aside_s: float
    clean_share: float
    """Share of the time that lies in clean blocks, whether they were selected or not; 1.0 where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How far a measurement can be trusted: "clean", "noisy" or "invalid", and why, in sentences."""

    status: str
    reasons: tuple[str, ...] = ()


def select(blocks: Sequence[Block], *, resolution_s: float, enabled: bool = True) -> Selection:
    """Set contaminated blocks aside, as the module's rules say."""
    clean = [not block.contaminated(resolution_s) for block in blocks]
    total_s = math.fsum(block.wall_s for block in blocks)
    clean_s = math.fsum(block.wall_s for block, is_clean in zip(blocks, clean, strict=True) if is_clean)
    share = clean_s / total_s if total_s else 1.0
    if not enabled or share < LEAST_CLEAN:
        return Selection(used=(True,) * len(blocks), set_aside_s=0.0, clean_share=share)
    return Selection(used=tuple(clean), set_aside_s=total_s - clean_s, clean_share=share)


def used_samples(samples: array[int], blocks: Sequence[Block], used: Sequence[bool]) -> array[int]:
    """The samples of the blocks that are used; all of them where nothing is known of blocks."""
    if not blocks:
        return samples
    kept = samples[:0]
    first = 0
    for block, is_used in zip(blocks, used, strict=True):
        if is_used:
            kept += samples[first : first + block.samples]
        first += block.samples
    return kept


def verdict(
    blocks: Sequence[Block],
    wrong: Sequence[str],
    *,
    iterations: int,
    total_s: float,
    clean_share: float = 1.0,
    median_s: float = 0.0,
    doubts: Sequence[str] = (),
) -> Verdict:
    """Judge a measurement of `iterations` that lasted `total_s` together, `median_s` in the middle.

    - "invalid": the outputs are wrong; `wrong` says how.
    - "noisy": the iterations lasted less than `SHORTEST_S`; or less than `LEAST_CLEAN` of the time was clean; or
      what was asked for wasn't so: an interval's width, CPUs, threads (`doubts` says what).
    - "clean": none of these. That page faults, the host or a GPU's power cap make the result is told, too, but is no
      noise: they are the model's.
    """
    noise = [*_too_short(iterations, total_s), *_contaminated(blocks, clean_share), *doubts]
    if wrong:
        return Verdict(status="invalid", reasons=(*wrong, *noise))
    told = [*_faulting(blocks), *gpu_notes(_gpu(blocks), median_s)]
    return Verdict(status="noisy" if noise else "clean", reasons=(*noise, *told))


def _gpu(blocks: Sequence[Block]) -> list[tuple[GpuBlock, float]]:
    """The GPU's side of the blocks that have one, and how long each lasted."""
    return [(block.gpu, block.wall_s) for block in blocks if block.gpu is not None]


def _too_short(iterations: int, total_s: float) -> list[str]:
    if total_s >= SHORTEST_S:
        return []
    advised = math.ceil(ENOUGH_S / total_s * iterations)
    advised = math.ceil(advised / 10 ** (digits := len(str(advised)) - 1)) * 10**digits
    lasted = f"{iterations} iterations lasted {total_s * 1000:.2g} ms together"
    return [f"{lasted}, too short to repeat: use --iterations {advised}, or leave it out"]


def _contaminated(blocks: Sequence[Block], clean_share: float) -> list[str]:
    if clean_share >= LEAST_CLEAN:
        return []
    total_s = math.fsum(block.wall_s for block in blocks)
    others = math.fsum(block.cpu_others_s for block in blocks) / total_s
    steal = math.fsum(block.steal_s for block in blocks) / total_s
    how = f"{others:.2f} cores on average, {steal:.1%} stolen by the hypervisor"
    reasons = [f"in {1 - clean_share:.0%} of the time others used the machine ({how})"]
    return [*reasons, *gpu_noise(_gpu(blocks))]


def _faulting(blocks: Sequence[Block]) -> list[str]:
    total_s = math.fsum(block.wall_s for block in blocks)
    faults = sum(block.minor_faults for block in blocks)
    if not total_s or faults * FAULT_S < FAULT_SHARE * total_s:
        return []
    each = faults / sum(block.iterations for block in blocks)
    return [f"bound by memory that is mapped anew: {each:,.0f} page faults an iteration"]
