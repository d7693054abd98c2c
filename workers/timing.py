"""The measuring loop: warm-up, timed blocks, and the cost of the clock itself. Standard library only."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Callable
from itertools import repeat
from typing import Any, NamedTuple, Protocol

import machine
import protocol

WINDOW_ITERATIONS = 5
WINDOW_S = 0.01
LONGEST_WINDOW_S = 1.0
SETTLED_WINDOWS = 2
IMPROVEMENT = 0.02
WARMUP_CAP_S = 5.0
"""Warm-up ends when this has passed, settled or not."""

REWARM_S = 0.01
TIMER_SHARE = 0.02
"""Iterations are timed in groups where reading the clock would take more than this share of one."""


class Warmup(NamedTuple):
    """The untimed iterations: `curve` holds [iterations, median nanoseconds] of each window."""

    first_ns: int
    iterations: int
    wall_s: float
    settled: bool | None
    """None: a fixed number of iterations was requested."""
    curve: list[list[int]]
    typical_ns: int


def nothing() -> None:
    """What is done before each inference where inferences need nothing."""


def warm_up(call: Callable[[], Any], exactly: int | None = None, prepare: Callable[[], object] = nothing) -> Warmup:
    """Call until the latency has settled, or `exactly` so many times.

    Iterations are examined in windows (at least 5 and 10 ms, at most 1 s). The latency has settled when two windows in
    succession have a median that isn't more than 2 % below the best one before them: it no longer gets faster. After
    5 s the warm-up ends in any case. Georges, Buytaert and Eeckhout ("Statistically Rigorous Java Performance
    Evaluation", OOPSLA 2007) wait until a window's coefficient of variation falls below a threshold; on a shared
    machine that may never happen, so here the trend decides. `prepare` is called before each call, untimed.
    """
    clock = time.perf_counter_ns
    prepare()
    began = clock()
    call()
    first_ns = clock() - began
    curve: list[list[int]] = []
    iterations, best, steady = 1, 0, 0
    settled: bool | None = None if exactly is not None else False
    while iterations < exactly if exactly is not None else not settled and clock() - began < WARMUP_CAP_S * 1e9:
        window = _window(call, None if exactly is None else exactly - iterations, prepare)
        iterations += len(window)
        median = sorted(window)[len(window) // 2]
        curve.append([iterations, median])
        steady = steady + 1 if best and median > (1 - IMPROVEMENT) * best else 0
        best = min(best or median, median)
        if exactly is None:
            settled = steady >= SETTLED_WINDOWS
    wall_s = (clock() - began) / 1e9
    return Warmup(first_ns, iterations, wall_s, settled, curve, curve[-1][1] if curve else first_ns)


def _window(call: Callable[[], Any], at_most: int | None, prepare: Callable[[], object]) -> list[int]:
    clock = time.perf_counter_ns
    began = clock()
    window: list[int] = []
    while True:
        prepare()
        started = clock()
        call()
        ended = clock()
        window.append(ended - started)
        wall_s = (ended - began) / 1e9
        enough = len(window) >= WINDOW_ITERATIONS and wall_s >= WINDOW_S
        if enough or wall_s >= LONGEST_WINDOW_S or len(window) == at_most:
            return window


def timer_cost_ns() -> int:
    """What two readings of the clock add to the time between them: the median of many."""
    clock = time.perf_counter_ns
    costs = []
    for _ in range(201):
        started = clock()
        costs.append(clock() - started)
    return sorted(costs)[100]


def group_size(typical_ns: int, timer_ns: int) -> int:
    """How many iterations are timed together, so that the clock is no more than `TIMER_SHARE` of a sample."""
    return max(1, -int(-timer_ns // (TIMER_SHARE * max(typical_ns, 1))))


class SampleSource(Protocol):
    """Takes the samples of a measurement; `value` is what the last timed call returned."""

    value: Any

    def block(self, count: int) -> dict[str, Any]:
        """Take and store `count` samples; return the counters of the block, as JSON."""

    def close(self) -> None:
        """Close the samples file."""


class SamplesFile:
    """The file of samples, to which each block is appended when it has ended.

    A process that was forked in an inference ends with its block: it measures what the worker doesn't.
    """

    def __init__(self, path: str) -> None:
        self._process = os.getpid()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)

    def end_block(self, samples: array[int], before: machine.Snapshot, group: int) -> dict[str, Any]:
        """Read the counters, then append the samples; return the block's counters since `before`."""
        after = machine.read_cpu()
        if os.getpid() != self._process:
            os._exit(0)
        protocol.write_all(self._descriptor, samples.tobytes())
        return {
            "samples": len(samples),
            "iterations": len(samples) * group,
            "started_s": before.wall_ns / 1e9,
            **machine.between(before, after),
        }

    def close(self) -> None:
        os.close(self._descriptor)


class Samples:
    """Takes blocks of samples of `call`, `group` iterations each, and appends each block to `file`.

    `value` is what the last timed call returned. `prepare` is called before each sample, outside of the timed part:
    then `group` must be 1.
    """

    def __init__(
        self, call: Callable[[], Any], group: int, file: str, prepare: Callable[[], object] | None = None
    ) -> None:
        self.value: Any = None
        self._call = call
        self._prepare = prepare
        self._group = group
        self._file = SamplesFile(file)

    def block(self, count: int) -> dict[str, Any]:
        """Take `count` samples; return the block's counters. Nothing is written, read or sent in between."""
        samples = array("q", bytes(8 * count))
        call, clock, value = self._call, time.perf_counter_ns, self.value
        before = machine.read_cpu()
        if self._prepare is not None:
            for index in range(count):
                value = None
                self._prepare()
                started = clock()
                value = call()
                samples[index] = clock() - started
        elif self._group == 1:
            for index in range(count):
                value = None  # frees what the previous call returned, outside of the timed part
                started = clock()
                value = call()
                samples[index] = clock() - started
        else:
            for index in range(count):
                again = repeat(None, self._group)
                started = clock()
                for _ in again:
                    value = call()
                samples[index] = clock() - started
        block = self._file.end_block(samples, before, self._group)
        self.value = value
        return block

    def close(self) -> None:
        self._file.close()


def rewarm(call: Callable[[], Any], typical_ns: int, prepare: Callable[[], object] = nothing) -> None:
    """Fill caches and wake threads by untimed inferences, after another worker has used the machine.

    Inferences that take longer than `REWARM_S` don't need it: cold caches cost them some tenths of a millisecond.
    """
    if typical_ns > REWARM_S * 1e9:
        return
    began = time.perf_counter()
    while time.perf_counter() - began < REWARM_S:
        prepare()
        call()


def quiesce(cap_s: float = 0.2) -> float:
    """Wait until this process's other threads have stopped spinning; return the seconds that it took.

    Thread pools spin for a while after their last work, which would be noise for the worker that is measured next.
    """
    began = time.perf_counter()
    while time.perf_counter() - began < cap_s:
        used_ns = machine.other_threads_ns()
        time.sleep(0.002)
        # A thread that waits for a CPU uses no time, but will spin on: it must not be runnable, either.
        if machine.other_threads_ns() - used_ns < 200_000 and not machine.other_threads_runnable():
            break
    return time.perf_counter() - began
