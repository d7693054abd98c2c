"""Several sets of inputs, measured in rotation: each sample is of the next set, each block of whole rotations."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from itertools import cycle, repeat
from typing import Any

import machine
import timing

TRIES = 5
"""Calls of each set by which the samples are planned."""


class Rotation:
    """Calls one after the other, endlessly; `call()` is the next one, for warming up."""

    def __init__(self, calls: Sequence[Callable[[], Any]]) -> None:
        self.calls = list(calls)
        self._next = cycle(self.calls)

    def call(self) -> Any:
        return next(self._next)()

    def typical_ns(self) -> tuple[int, int]:
        """The median nanoseconds of the fastest of the calls, and the mean of all medians."""
        medians = []
        for call in self.calls:
            taken = []
            for _ in range(TRIES):
                started = time.perf_counter_ns()
                call()
                taken.append(time.perf_counter_ns() - started)
            medians.append(sorted(taken)[TRIES // 2])
        return min(medians), sum(medians) // len(medians)

    def samples(self, group: int, file: str) -> RotatingSamples:
        return RotatingSamples(self, group, file)

    def whole(self, samples: int) -> int:
        """So many samples, or the next larger number that whole rotations have."""
        return -(-samples // len(self.calls)) * len(self.calls)


class RotatingSamples:
    """Takes blocks of samples of each call in turn, `group` iterations each, and appends each block to `file`.

    `value` holds what the last timed call of each set returned.
    """

    def __init__(self, rotation: Rotation, group: int, file: str) -> None:
        self.value: list[Any] = [None] * len(rotation.calls)
        self._rotation = rotation
        self._group = group
        self._file = timing.SamplesFile(file)

    def block(self, count: int) -> dict[str, Any]:
        """Take `count` samples, rounded up to whole rotations; return the block's counters (see `timing.Samples`)."""
        count = self._rotation.whole(count)
        samples = array("q", bytes(8 * count))
        clock, values = time.perf_counter_ns, self.value
        turns = cycle(enumerate(self._rotation.calls))
        before = machine.read_cpu()
        for index in range(count):
            place, call = next(turns)
            values[place] = None  # frees what the previous call returned, outside of the timed part
            if self._group == 1:
                started = clock()
                value = call()
                samples[index] = clock() - started
            else:
                again = repeat(None, self._group)
                started = clock()
                for _ in again:
                    value = call()
                samples[index] = clock() - started
            values[place] = value
        return self._file.end_block(samples, before, self._group)

    def close(self) -> None:
        self._file.close()
