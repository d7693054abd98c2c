"""Which blocks of samples were disturbed, and how far a measurement can be trusted. Pure Python, for quick import.

The rules were fixed before anything was measured by them. A block is disturbed if, during it,

- other processes used more than `OTHERS_CORES` of our CPUs (setting such blocks aside reduced the spread of identical
  runs from 16.6 % to 4.2 %), after an allowance of `KERNEL_SHARE` of our own CPU time, or
- the hypervisor took more than `STEAL_SHARE` of the time, or
- our own control group was throttled, or
- its GPU was slowed or shared (see `gpu_noise`).

Amounts below the counters' resolution are ignored. Disturbed blocks are set aside, not deleted: while at least
`LEAST_CLEAN` of the time is clean, the figures are of the clean blocks, and the figures of all blocks are stored, too.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Annotated

from isobench.analysis.gpu_noise import GpuBlock, gpu_noise, gpu_notes
from isobench.constraints import Amount, Count, OneOf, PositiveCount, Seconds
from isobench.record import record

OTHERS_CORES = 0.1
KERNEL_SHARE = 0.005
"""The kernel's timer ticks on each CPU that we use, which some kernels don't count as our time."""
STEAL_SHARE = 0.02
LEAST_CLEAN = 0.25
"""With a smaller share of clean time, a measurement is noisy, and nothing is set aside."""
VERDICTS = ("clean", "noisy", "invalid")
SHORTEST_S = 0.01
"""A shorter measurement can't be repeated: identical runs then differ by more than a tenth."""
ENOUGH_S = 0.1
"""The duration that is advised where a measurement was too short."""
FAULT_S = 0.25e-6
"""The least cost of a page fault; a result is bound by faults that take more than `FAULT_SHARE` of the time."""
FAULT_SHARE = 0.1


@record(frozen=True, slots=True, kw_only=True)
class Block:
    """Consecutive samples with the noise seen meanwhile; CPU seconds are summed over the CPUs that we may use.

    `started_s` is by the machine's monotonic clock, so it orders the blocks of interleaved workers. `gpu` is what the
    GPU did, if the model ran on one.
    """

    samples: PositiveCount
    iterations: PositiveCount
    started_s: Seconds
    wall_s: Seconds
    cpu_own_s: Seconds
    cpu_others_s: Seconds
    steal_s: Seconds
    throttled_s: Seconds
    involuntary_switches: Count
    minor_faults: Count
    major_faults: Count
    frequency_mhz: Amount | None = None
    parked_s: Seconds = 0.0
    gpu: GpuBlock | None = None

    def __post_init__(self) -> None:
        if self.iterations % self.samples:
            raise ValueError(f"iterations must be a multiple of {self.samples} samples, got {self.iterations}")
        if self.wall_s < self.samples * 1e-9:
            raise ValueError(f"wall_s must be at least a nanosecond per sample, got {self.wall_s:g}")

    def disturbed(self, resolution_s: float) -> bool:
        """Did others use enough of the machine to change the latency? `resolution_s` is that of the CPU counters."""
        allowed_s = OTHERS_CORES * self.wall_s + KERNEL_SHARE * self.cpu_own_s + resolution_s
        stolen = self.steal_s > STEAL_SHARE * self.wall_s + resolution_s
        gpu = self.gpu is not None and (self.gpu.slowed(self.wall_s) or self.gpu.shared())
        return self.cpu_others_s > allowed_s or stolen or self.throttled_s > resolution_s or gpu


@record(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which blocks the figures are of.

    `used` has a flag for each block; `set_aside_s` is the duration of the others. `clean_share` is the clean blocks'
    share of the time, whether disturbed ones are set aside or not; 1.0 without blocks.
    """

    used: tuple[bool, ...]
    set_aside_s: float
    clean_share: float


@record(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How far a measurement can be trusted: "clean", "noisy" or "invalid", and why, in sentences."""

    status: Annotated[str, OneOf(*VERDICTS)]
    reasons: tuple[str, ...] = ()


def select(blocks: Sequence[Block], *, resolution_s: float, enabled: bool = True) -> Selection:
    """Set disturbed blocks aside, by the rules of this module."""
    clean = [not block.disturbed(resolution_s) for block in blocks]
    total_s = math.fsum(block.wall_s for block in blocks)
    clean_s = math.fsum(block.wall_s for block, is_clean in zip(blocks, clean, strict=True) if is_clean)
    share = clean_s / total_s if total_s else 1.0
    if not enabled or share < LEAST_CLEAN:
        return Selection(used=(True,) * len(blocks), set_aside_s=0.0, clean_share=share)
    return Selection(used=tuple(clean), set_aside_s=total_s - clean_s, clean_share=share)


def used_samples(samples: array[int], blocks: Sequence[Block], used: Sequence[bool]) -> array[int]:
    """The samples of the used blocks; all samples if there are no blocks."""
    if not blocks:
        return samples
    chosen = samples[:0]
    first = 0
    for block, is_used in zip(blocks, used, strict=True):
        if is_used:
            chosen += samples[first : first + block.samples]
        first += block.samples
    return chosen


def verdict(
    blocks: Sequence[Block],
    wrong: Sequence[str],
    *,
    iterations: int,
    total_s: float,
    clean_share: float = 1.0,
    median_s: float = 0.0,
    doubts: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Verdict:
    """The verdict on a measurement of `iterations` that lasted `total_s` in all, with a median of `median_s`.

    - "invalid": the outputs are wrong, for the reasons in `wrong`.
    - "noisy": the iterations lasted less than `SHORTEST_S`; or less than `LEAST_CLEAN` of the time was clean; or a
      requested interval, CPU or thread number wasn't reached, or nothing could be compared, as `doubts` say.
    - "clean": none of these. Being bound by page faults, by the host or by a GPU's power cap is added to the reasons,
      but is no noise, since it belongs to the model; so are `notes` on the outputs.
    """
    noise = [*_too_short(iterations, total_s), *_disturbances(blocks, clean_share), *doubts]
    if wrong:
        return Verdict(status="invalid", reasons=(*wrong, *notes, *noise))
    bounds = [*notes, *_faulting(blocks), *gpu_notes(_gpu(blocks), median_s)]
    return Verdict(status="noisy" if noise else "clean", reasons=(*noise, *bounds))


def _gpu(blocks: Sequence[Block]) -> list[tuple[GpuBlock, float]]:
    """The GPU's part of the blocks that have one, with each block's duration."""
    return [(block.gpu, block.wall_s) for block in blocks if block.gpu is not None]


def _too_short(iterations: int, total_s: float) -> list[str]:
    if total_s >= SHORTEST_S:
        return []
    advised = math.ceil(ENOUGH_S / total_s * iterations)
    advised = math.ceil(advised / 10 ** (digits := len(str(advised)) - 1)) * 10**digits
    counted = f"{iterations} iteration{'' if iterations == 1 else 's'}"
    lasted = f"{counted} lasted only {total_s * 1000:.2g} ms, too short to be repeatable"
    return [f"{lasted}: use --iterations {advised}, or omit it"]


def _disturbances(blocks: Sequence[Block], clean_share: float) -> list[str]:
    if clean_share >= LEAST_CLEAN:
        return []
    total_s = math.fsum(block.wall_s for block in blocks)
    others = math.fsum(block.cpu_others_s for block in blocks) / total_s
    steal = math.fsum(block.steal_s for block in blocks) / total_s
    how = f"{others:.2f} cores on average, {steal:.1%} stolen by the hypervisor"
    reasons = [f"others used the machine in {1 - clean_share:.0%} of the time ({how})"]
    return [*reasons, *gpu_noise(_gpu(blocks))]


def _faulting(blocks: Sequence[Block]) -> list[str]:
    total_s = math.fsum(block.wall_s for block in blocks)
    faults = sum(block.minor_faults for block in blocks)
    if not total_s or faults * FAULT_S < FAULT_SHARE * total_s:
        return []
    each = faults / sum(block.iterations for block in blocks)
    return [f"bound by page faults, {each:,.0f} per iteration: its memory is mapped again each time"]
