from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from isobench.system import forked


def test_a_child_computes_and_changes_nothing_here() -> None:
    seen: list[int] = []

    def function() -> bytes:
        seen.append(1)
        print("lost")
        return b"x" * 3_000_000

    assert forked.compute(function, timeout_s=60, memory_bytes=1 << 30) == b"x" * 3_000_000
    assert seen == []


def failing() -> bytes:
    raise ValueError("no")


def crashing() -> bytes:
    os.kill(os.getpid(), signal.SIGSEGV)
    return b"never"


def leaving() -> bytes:
    raise SystemExit(0)


@pytest.mark.parametrize("function", [failing, crashing, leaving])
def test_a_child_that_fails_has_no_result(function: object) -> None:
    assert forked.compute(function, timeout_s=60, memory_bytes=1 << 30) is None  # type: ignore[arg-type]


def test_a_child_that_takes_too_long_is_killed() -> None:
    began, before = time.monotonic(), children()
    assert forked.compute(lambda: time.sleep(60) or b"", timeout_s=0.2, memory_bytes=1 << 30) is None
    assert time.monotonic() - began < 30
    assert children() <= before


def test_a_child_that_takes_too_much_memory_has_no_result() -> None:
    assert forked.compute(lambda: bytes(1 << 26)[:1], timeout_s=60, memory_bytes=1 << 28) == b"\0"
    assert forked.compute(lambda: bytes(1 << 30)[:1], timeout_s=60, memory_bytes=1 << 28) is None


def children() -> set[str]:
    """The children of this process, those that nobody has waited for included."""
    return {pid for listed in Path("/proc/self/task").glob("*/children") for pid in listed.read_text().split()}
