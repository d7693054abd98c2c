"""Calls C++ code in a child process of its own: a damaged or hostile file may crash it or make it run for ever."""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from typing import NoReturn

_CHUNK_BYTES = 1 << 20


def compute(function: Callable[[], bytes], *, timeout_s: float, memory_bytes: int) -> bytes | None:
    """What the function returns, computed in a child; None if it raises an exception, crashes or takes too long, or if
    it needs `memory_bytes` more than this process has.

    The child is a fork: it has all modules and data of this process, and can't change them. What it prints is lost.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # The function must not need other threads: only the one that forks goes on in the child.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        _serve(function, writing, memory_bytes)
    os.close(writing)
    try:
        result = _read(reading, time.monotonic() + timeout_s)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    finally:
        os.close(reading)
    if result is None:
        os.kill(child, signal.SIGKILL)
    return result if os.waitpid(child, 0)[1] == 0 else None


def _serve(function: Callable[[], bytes], writing: int, memory_bytes: int) -> NoReturn:
    """The child: writes the result, and leaves without any clean-up of the parent's."""
    status = 1
    try:
        _limit(memory_bytes)
        if "faulthandler" in sys.modules:
            sys.modules["faulthandler"].disable()
        silent = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            os.dup2(silent, descriptor)
        with open(writing, "wb", closefd=False) as pipe:
            pipe.write(function())
        status = 0
    finally:
        os._exit(status)


def _limit(memory_bytes: int) -> None:
    """Let this process take so much more memory, so that the kernel needn't end others for what it takes."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        present = int(file.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = present + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _read(reading: int, deadline: float) -> bytes | None:
    """Everything until the child closes the pipe, which it does when it ends; None if it takes too long."""
    parts: list[bytes] = []
    while select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(reading, _CHUNK_BYTES)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return None
