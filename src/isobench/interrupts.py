"""The signals that end isobench: SIGINT (Ctrl-C), SIGTERM and SIGHUP. Its exit code is 128 and the signal's number.

A signal that was ignored when the process started stays ignored: SIGHUP under `nohup`, SIGINT of a background job. Only
the command line changes what signals do; in a program that uses isobench, they are left alone. This module is imported
first of all, so it imports nothing that takes time.
"""

from __future__ import annotations

import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 5.0
"""For so long after the first signal, while it is cleaned up, further ones are ignored."""
_MOMENT_S = 0.01

_received = 0
_received_s = 0.0
_holds = 0


def end_at_once() -> None:
    """From now on, a signal ends this process, without a word: there is nothing to clean up."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    _handle(_end)


def interrupt() -> None:
    """From now on, the first signal raises KeyboardInterrupt, so that what was begun is cleaned up.

    Further ones are ignored for `PATIENCE_S`; after that, one ends this process at once, and the kernel its children.
    """
    signal.signal(signal.SIGALRM, _raise)
    sys.unraisablehook = _unraisable
    _handle(_interrupt)


def exit_code() -> int:
    """The exit code after the signal that was received; without one, that of Ctrl-C."""
    return 128 + (_received or signal.SIGINT)


def received() -> str:
    """The name of the signal that was received, "" for none."""
    return signal.Signals(_received).name if _received else ""


class Held:
    """A signal that arrives within the block takes effect a moment after its end: what is saved there is reported."""

    def __enter__(self) -> None:
        global _holds
        self._before = _received
        _holds += 1

    def __exit__(self, *_: object) -> None:
        global _holds
        _holds -= 1
        if _received != self._before and not _holds:
            signal.setitimer(signal.ITIMER_REAL, _MOMENT_S)


def _handle(handler: Callable[[int, FrameType | None], Any]) -> None:
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _received, _received_s
    if not _received:
        _received, _received_s = number, time.monotonic()
        if not _holds:
            _raise(number, frame)
    elif time.monotonic() > _received_s + PATIENCE_S:
        _end(number, frame)


def _raise(_number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, but not within an import: native modules crash, or lose it, while they are set up."""
    if _importing(frame) and time.monotonic() < _received_s + PATIENCE_S:
        signal.setitimer(signal.ITIMER_REAL, _MOMENT_S)
    else:
        raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    """In a callback, such as that of a weak reference, KeyboardInterrupt would be lost: it is raised once more."""
    if issubclass(what.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, _MOMENT_S)
    else:
        sys.__unraisablehook__(what)
