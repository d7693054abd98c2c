"""Settings: how a Case is built and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a Case is built and measured.

    `exactly` says that the user gave `iterations`; otherwise they are the least, and so is `min_time_s` of clean time
    in each run, but none lasts longer than `max_time_s`. `warmup` is the number of untimed iterations, the first one
    included; None: until the latency has settled. `select` sets contaminated blocks aside. `processes` is the number
    of runs; where `precision` (half an interval's width, as a share of the median) is given, it's the least.
    `threads` is one number for all runtimes, as are `cpus` and `memory_nodes` (none: all that this process may use)
    and the priority `nice` (0: the usual one). `heap` is "steady" or "default"; `timeout_s` bounds each worker;
    `opset` None leaves the choice to the exporter.
    """

    iterations: int = 100
    exactly: bool = False
    min_time_s: float = 0.5
    max_time_s: float = 10.0
    warmup: int | None = None
    select: bool = True
    processes: int = 1
    precision: float | None = None
    threads: int
    cpus: tuple[int, ...] = ()
    nice: int = 0
    memory_nodes: tuple[int, ...] = ()
    heap: str = "steady"
    seed: int = 0
    timeout_s: float = 900.0
    opset: int | None = None
    max_depth: int = 0

    @property
    def control(self) -> dict[str, Any]:
        """What of the machine the workers get, as far as it was asked for; as JSON."""
        asked = {"cpus": list(self.cpus), "nice": self.nice, "memory_nodes": list(self.memory_nodes)}
        return {name: value for name, value in asked.items() if value}
