"""How many samples a run takes: decided after each block, from its noise, while nothing is timed."""

from __future__ import annotations

from isobench.analysis.noise import Block
from isobench.constraints import PositiveCount, Seconds
from isobench.planning.settings import Settings
from isobench.record import record


@record(frozen=True, slots=True, kw_only=True)
class Ready:
    """A worker's message after its warm-up: blocks of `block_samples` samples should take `block_s`.

    The counters need that long to show what others used; `resolution_s` is their error.
    """

    block_samples: PositiveCount
    block_s: Seconds
    group: PositiveCount
    resolution_s: Seconds


class Sampler:
    """Requests blocks until a run has enough.

    With a number of iterations that the user gave: exactly so many. Otherwise at least `LEAST_ITERATIONS` and
    `settings.min_time_s` in clean blocks (in any, where none are set aside), but no longer than `settings.max_time_s`.
    Blocks that turn out too short for the counters grow: a warm-up of few iterations may say little of what is to come.
    """

    def __init__(self, settings: Settings, ready: Ready) -> None:
        self._settings = settings
        self._ready = ready
        self.block_samples = ready.block_samples
        self._left = -(-settings.worker_iterations // ready.group)
        self._clean_iterations = 0
        self._clean_s = 0.0
        self._total_s = 0.0

    def next(self) -> int:
        """The samples of the next block; 0 when the run has enough."""
        if self._settings.iterations is not None:
            # The last block includes a remainder that would be too short on its own.
            return self.block_samples if self._left >= 2 * self.block_samples else self._left
        enough = (
            self._clean_iterations >= self._settings.worker_iterations and self._clean_s >= self._settings.min_time_s
        ) or self._total_s >= self._settings.max_time_s
        return 0 if enough else self.block_samples

    def add(self, block: Block) -> None:
        """Count a block that was measured."""
        self._left -= block.samples
        self._total_s += block.wall_s
        if block.wall_s < self._ready.block_s / 2:
            self.block_samples *= 2
        if not (self._settings.select and block.disturbed(self._ready.resolution_s)):
            self._clean_iterations += block.iterations
            self._clean_s += block.wall_s
