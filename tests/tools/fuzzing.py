"""Fuzzing, bounded in time, with failures that can be repeated.

A fuzzer is a function that is called with a random source, a trial after the other, until its seconds are over; the
trial's number is the seed of its random source. ISOBENCH_FUZZ_S gives each fuzzer more time (`make fuzz`); the first
trial then depends on the time of day; ISOBENCH_FUZZ_TRIAL repeats one trial.

    def test_any_bytes_are_read_or_refused() -> None:
        def check(random: Random) -> None:
            read(mangled(REAL, random))

        fuzz(check, seconds=3)
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

REPEATED = "ISOBENCH_FUZZ_TRIAL"
EXAMPLES = 10
HANG_S = 10.0
"""A trial that takes longer hangs."""
MANY_HANG_S = 600.0
"""The same of many values, and of making one of them small."""
MOST_FAILURES = 20
"""A fuzzer that has found so many distinct ones ends."""

SPECIAL = (b"\0", b"\xff", b"\x1b[2J", b"\r", b"\n", b"{", b"[", b'"', b"\xe2\x80\xae", b"\xed\xa0\x80", b"9" * 400)
"""What is spliced into files: the ends of what a byte can be, control characters, half of a surrogate pair, digits."""


class HangError(BaseException):
    """A trial took longer than `HANG_S`: not an Exception, so that nothing takes it for its own."""


def fuzz(check: Callable[[Random], None], *, seconds: float, hang_s: float = HANG_S) -> None:
    """Call `check`, which raises whatever must not happen, with a random source of its own in each trial.

    A trial that takes longer than `hang_s` seconds hangs.

    Raises:
        AssertionError: it failed; for each place at which it did, the first trial, and how to repeat it.
    """
    failures: dict[str, str] = {}
    tried = 0
    for trial in _trials(seconds):
        tried += 1
        try:
            with deadline(hang_s):
                check(Random(trial))
        except (Exception, HangError) as error:  # noqa: BLE001 - all of them are reported
            how = f"{REPEATED}={trial}\n{''.join(traceback.format_exception(error))}"
            failures.setdefault(_place(error), how)
        if len(failures) >= MOST_FAILURES:
            break
    _report(tried, failures)


def fuzz_values(values: SearchStrategy[Any], check: Callable[[Any], None], *, seconds: float) -> None:
    """Call `check` with values of a hypothesis strategy, `EXAMPLES` in a trial.

    A trial that is repeated (ISOBENCH_FUZZ_TRIAL) makes the value that failed small, which may take minutes.

    Raises:
        AssertionError: as `fuzz`.
    """
    phases = (Phase.generate, Phase.shrink) if os.environ.get(REPEATED) else (Phase.generate,)

    def many(random: Random) -> None:
        @seed(random.getrandbits(32))
        @settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        )
        @given(values)
        def each(value: Any) -> None:
            began = time.monotonic()
            check(value)
            assert time.monotonic() - began < HANG_S, f"more than {HANG_S} s"

        each()

    fuzz(many, seconds=seconds, hang_s=MANY_HANG_S)


def mangled(raw: bytes, random: Random) -> bytes:
    """The bytes after one to four accidents: some flipped, cut off, inserted, doubled, moved or replaced."""
    for _ in range(random.randint(1, 4)):
        start, end = sorted(random.randrange(len(raw) + 1) for _ in range(2))
        near = min(end, start + random.randint(1, 16))
        raw = random.choice(_ACCIDENTS)(raw[:start], raw[start:near], raw[near:end], raw[end:], random)
    return raw


def _flipped(before: bytes, some: bytes, more: bytes, after: bytes, random: Random) -> bytes:
    return before + bytes(value ^ 1 << random.randrange(8) for value in some[:1]) + some[1:] + more + after


def _cut_off(before: bytes, _some: bytes, _more: bytes, _after: bytes, _random: Random) -> bytes:
    return before


def _without_some(before: bytes, _some: bytes, more: bytes, after: bytes, _random: Random) -> bytes:
    return before + more + after


def _without_more(before: bytes, some: bytes, _more: bytes, after: bytes, _random: Random) -> bytes:
    return before + some + after


def _inserted(before: bytes, some: bytes, more: bytes, after: bytes, random: Random) -> bytes:
    return before + random.randbytes(random.randint(1, 9)) + some + more + after


def _doubled(before: bytes, some: bytes, more: bytes, after: bytes, random: Random) -> bytes:
    return before + some * random.choice((2, 3, 100)) + more + after


def _moved(before: bytes, some: bytes, more: bytes, after: bytes, _random: Random) -> bytes:
    return before + more + some + after


def _replaced(before: bytes, some: bytes, more: bytes, after: bytes, random: Random) -> bytes:
    return before + random.choice(SPECIAL) + random.choice((b"", some)) + more + after


_ACCIDENTS = (_flipped, _cut_off, _without_some, _without_more, _inserted, _doubled, _moved, _replaced)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise HangError in this (the main) thread if what is inside takes longer."""

    def alarm(_signal: int, _frame: object) -> None:
        raise HangError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _trials(seconds: float) -> Iterator[int]:
    if only := os.environ.get(REPEATED):
        yield int(only)
        return
    longer = os.environ.get("ISOBENCH_FUZZ_S")
    trial = time.time_ns() // 1000 if longer else 1
    end = time.monotonic() + float(longer or seconds)
    while time.monotonic() < end:
        yield trial
        trial += 1


def _place(error: BaseException) -> str:
    """Where it was raised, if possible within isobench, unless it knows its `place`: each is reported once."""
    if known := getattr(error, "place", ""):
        return str(known)
    frames = traceback.extract_tb(error.__traceback__)
    last = [frame for frame in frames if "/src/isobench/" in frame.filename] or frames
    return f"{type(error).__name__} in {last[-1].filename}:{last[-1].lineno}"


def _report(tried: int, failures: dict[str, str]) -> None:
    print(f"{tried} trials, {len(failures)} distinct failures")
    assert not failures, "\n\n".join(f"{place}\n{how}" for place, how in failures.items())
