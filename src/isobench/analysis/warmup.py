"""The untimed iterations before a measurement."""

from __future__ import annotations

from isobench.constraints import PositiveCount, Seconds
from isobench.record import record


@record(frozen=True, slots=True, kw_only=True)
class Warmup:
    """The untimed iterations, the first included. `settled` is None where their number was fixed beforehand.

    `curve` holds, for each window, the iterations done at its end and its median latency in seconds.
    """

    iterations: PositiveCount
    wall_s: Seconds
    settled: bool | None
    curve: tuple[tuple[Seconds, ...], ...]

    def __post_init__(self) -> None:
        if not all(len(window) == 2 for window in self.curve):
            raise ValueError("curve must be a list of pairs")
