"""Warm-up, the clock's own cost, rewarming and quiescing, with a fake clock."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import pytest

from isobench import paths

MS = 1_000_000


class Clock:
    """A fake of the module `time`, which moves only when it is moved."""

    def __init__(self) -> None:
        self.now_ns = 1_000

    def perf_counter_ns(self) -> int:
        return self.now_ns

    def perf_counter(self) -> float:
        return self.now_ns / 1e9

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


@pytest.fixture
def timing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module as a worker sees it, with a Clock."""
    monkeypatch.syspath_prepend(str(paths.WORKERS))
    module = importlib.import_module("timing")
    monkeypatch.setattr(module, "time", Clock())
    yield module
    for name in ("timing", "machine"):
        sys.modules.pop(name, None)


def lasting(timing: Any, durations_ms: Iterable[float]) -> Callable[[], None]:
    """A call that takes the next duration each time; the first is that of the very first inference."""
    durations = iter(durations_ms)

    def call() -> None:
        timing.time.now_ns += round(next(durations) * MS)

    return call


def windows(*milliseconds: float, iterations: int = 5) -> Iterable[float]:
    """The first inference, windows of equal iterations, then the last duration forever."""
    return chain([50], *([each] * iterations for each in milliseconds), repeat(milliseconds[-1]))


@pytest.mark.parametrize(
    ("medians", "examined"),
    [
        ((4, 4), 3),
        ((8, 6, 5, 4, 4), 6),  # two windows after the last one that was faster
        ((4, 3.93, 3.86, 3.79), 3),  # no more than 2 % better than the best one before
        ((4, 3.91, 3.86, 3.78, 3.78), 6),  # 2.2 % better, 1.3 %, 2.1 %: it still gets faster
        ((4, 8, 7, 6), 3),  # slower than before is no faster
        ((4, 8, 3.9, 3.9), 5),  # 2.5 % better than the best
    ],
)
def test_warm_up_ends_when_it_no_longer_gets_faster(timing: Any, medians: tuple[float, ...], examined: int) -> None:
    found = timing.warm_up(lasting(timing, windows(*medians)))
    assert len(found.curve) == examined
    assert found.settled is True
    assert found.first_ns == 50 * MS
    assert found.iterations == 1 + 5 * examined
    assert found.typical_ns == found.curve[-1][1] == round([*medians, *[medians[-1]] * 9][examined - 1] * MS)


def test_warm_up_that_never_settles_ends_after_five_seconds(timing: Any) -> None:
    found = timing.warm_up(lasting(timing, windows(*[100 * 0.97**n for n in range(100)])))
    assert found.settled is False
    assert 5 <= found.wall_s < 5.5


@pytest.mark.parametrize(("each_ms", "together"), [(0.1, 100), (1, 10), (2, 5), (9, 5), (150, 5), (400, 3), (3000, 1)])
def test_a_window_is_of_enough_iterations_and_time_but_of_no_more_than_a_second(
    timing: Any, each_ms: float, together: int
) -> None:
    assert timing.warm_up(lasting(timing, repeat(each_ms))).curve[0] == [1 + together, round(each_ms * MS)]


@pytest.mark.parametrize(("requested", "curve"), [(1, []), (3, [[3, 4 * MS]]), (9, [[6, 4 * MS], [9, 4 * MS]])])
def test_a_requested_number_of_iterations_is_exact(timing: Any, requested: int, curve: list[list[int]]) -> None:
    found = timing.warm_up(lasting(timing, windows(4)), requested)
    assert (found.iterations, found.settled, found.curve) == (requested, None, curve)
    assert found.typical_ns == (4 if curve else 50) * MS


def test_a_windows_median_is_what_counts(timing: Any) -> None:
    found = timing.warm_up(lasting(timing, chain([50], [4, 40, 4, 40, 4], repeat(4))))
    assert found.curve[0] == [6, 4 * MS]
    assert len(found.curve) == 3


def test_the_cost_of_the_clock_is_the_median_of_its_readings(timing: Any) -> None:
    costs = iter([cost for each in range(201) for cost in (0, 1000 if each < 100 else 50)])

    def reading() -> int:
        timing.time.now_ns += next(costs, 0)
        return int(timing.time.now_ns)

    timing.time.perf_counter_ns = reading
    assert timing.timer_cost_ns() == 50


@pytest.mark.parametrize(
    ("typical_ns", "timer_ns", "group"),
    [(100_000, 60, 1), (3_000, 60, 1), (2_999, 60, 2), (1_500, 60, 2), (100, 60, 30), (0, 60, 3000)],
)
def test_the_clock_is_no_more_than_a_fiftieth_of_a_sample(
    timing: Any, typical_ns: int, timer_ns: int, group: int
) -> None:
    assert timing.group_size(typical_ns, timer_ns) == group


@pytest.mark.parametrize(("each_ms", "calls"), [(0.5, 20), (1, 10), (3, 4), (9, 2), (11, 0), (300, 0)])
def test_rewarming_takes_ten_milliseconds_of_untimed_inferences(timing: Any, each_ms: float, calls: int) -> None:
    done = []
    call = lasting(timing, repeat(each_ms))
    timing.rewarm(lambda: done.append(call()), round(each_ms * MS))
    assert len(done) == calls


@pytest.mark.parametrize(
    ("used_ms", "runnable", "slept"),
    [
        ([500, 500.1], [False], 1),
        ([500, 502, 504, 504, 504.1], [False], 2),  # read twice each time: before the sleep and after it
        ([500, 500.3, 500.3, 500.3], [False], 2),  # more than a tenth of the sleep
        ([500, 500, 500, 500, 500, 500], [True, True, False], 3),  # it waits for a CPU: it will go on spinning
        ([500, 480], [False], 1),  # a thread has ended
    ],
)
def test_threads_are_quiet_when_none_of_them_runs_or_is_runnable(
    timing: Any, monkeypatch: pytest.MonkeyPatch, used_ms: list[float], runnable: list[bool], slept: int
) -> None:
    used, wanting = iter(used_ms), iter(runnable)
    monkeypatch.setattr(timing.machine, "other_threads_ns", lambda: round(next(used) * MS))
    monkeypatch.setattr(timing.machine, "other_threads_runnable", lambda: next(wanting))
    assert timing.quiesce() == pytest.approx(slept * 0.002)


def test_the_wait_for_threads_that_spin_forever_is_limited(timing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing.machine, "other_threads_ns", lambda: timing.time.now_ns)
    assert 0.05 <= timing.quiesce(cap_s=0.05) < 0.053
