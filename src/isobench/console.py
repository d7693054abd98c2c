"""What a person at a terminal sees while isobench works: on standard error, so that standard output is the result's."""

from __future__ import annotations

import os
import sys
import time
from typing import Protocol, TextIO


class Progress(Protocol):
    """Who hears how far the work is."""

    def begin(self, what: str) -> None:
        """Another piece of work starts: a model's build, a case."""

    def stage(self, text: str) -> None:
        """What is going on in it now."""

    def note(self, text: str) -> None:
        """Something that is worth keeping on the screen."""

    def end(self, status: str) -> None:
        """A Case has ended, and its Result is on disk."""


class Console:
    """Tells of progress: one line that is written anew at a terminal, a line a step elsewhere.

    Nothing is drawn by a clock: it is written to only when something happens, so it costs a measurement nothing.
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._rewrites = self._stream.isatty()
        self._quiet = quiet
        self._what = ""
        self._started = 0.0

    def begin(self, what: str) -> None:
        """Another piece of work starts."""
        self._what = what
        self._started = time.monotonic()
        self._write(what)

    def stage(self, text: str) -> None:
        """What is going on in it now."""
        self._write(f"{self._what}: {text}" if self._what else text)

    def note(self, text: str) -> None:
        """Something that stays on the screen."""
        self._write(text, stays=True)

    def end(self, status: str) -> None:
        """A Case has ended: its status stays on the screen."""
        if self._what:
            self._write(f"{self._what}: {status} ({time.monotonic() - self._started:.1f} s)", stays=True)
        self._what = ""

    def clear(self) -> None:
        """Leave the terminal's line empty for what comes next."""
        if self._rewrites and not self._quiet:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _write(self, text: str, *, stays: bool = False) -> None:
        if self._quiet:
            return
        if self._rewrites:
            # A line that wraps could not be written over. (0: a terminal that doesn't know how wide it is.)
            columns = os.get_terminal_size(self._stream.fileno()).columns or len(text) + 1
            self._stream.write(f"\r\x1b[K{text}\n" if stays else f"\r\x1b[K{text[: columns - 1]}")
        else:
            self._stream.write(text + "\n")
        self._stream.flush()
