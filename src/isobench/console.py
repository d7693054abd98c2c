"""Progress messages on standard error: standard output is for results."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TextIO

from isobench.escapes import one_line, printable


class Progress(Protocol):
    """Receives progress messages."""

    def begin(self, what: str) -> None:
        """The next piece of work starts: a model's build, a Case."""

    def stage(self, text: str) -> None:
        """What is being done in it now."""

    def note(self, text: str) -> None:
        """A message that stays on the screen."""

    def end(self, status: str) -> None:
        """A Case has ended, and its Result is on disk."""


class Unfailing:
    """Progress that ends nothing: what fails while it is shown is left out."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, what: str) -> None:
        """The next piece of work starts."""
        self._show(self._progress.begin, what)

    def stage(self, text: str) -> None:
        """What is being done in it now."""
        self._show(self._progress.stage, text)

    def note(self, text: str) -> None:
        """A message that stays on the screen."""
        self._show(self._progress.note, text)

    def end(self, status: str) -> None:
        """A Case has ended."""
        self._show(self._progress.end, status)

    def _show(self, how: Callable[[str], None], text: str) -> None:
        with suppress(Exception):
            how(text)


class Console:
    """Prints progress: one line that is overwritten on a terminal, a line for each message in a file or a pipe.

    It writes only when something happens, never by a timer, so that it doesn't disturb a measurement.
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stderr  # None in a program that has no standard error
        self._quiet = quiet or self._stream is None
        self._rewrites = not self._quiet and self._stream.isatty()
        self._what = ""
        self._started = 0.0

    @property
    def overwrites(self) -> bool:
        """Is it a terminal, whose last line is overwritten?"""
        return self._rewrites

    def begin(self, what: str) -> None:
        """The next piece of work starts."""
        self._what = what
        self._started = time.monotonic()
        self._write(what)

    def stage(self, text: str) -> None:
        """What is being done in it now."""
        self._write(f"{self._what}: {text}" if self._what else text)

    def note(self, text: str) -> None:
        """A message that stays on the screen."""
        self._write(text, stays=True)

    def end(self, status: str) -> None:
        """A Case has ended: its status stays on the screen."""
        if self._what:
            self._write(f"{self._what}: {status} ({time.monotonic() - self._started:.1f} s)", stays=True)
        self._what = ""

    def clear(self) -> None:
        """Clear the terminal's line."""
        if self._rewrites:
            self._print("\r\x1b[K")

    def _write(self, text: str, *, stays: bool = False) -> None:
        if self._quiet:
            return
        text = printable(text) if stays else one_line(text)
        if self._rewrites:
            # A line that wraps couldn't be overwritten.
            self._print(f"\r\x1b[K{text}\n" if stays else f"\r\x1b[K{text[: self._columns() or None]}")
        else:
            self._print(text + "\n")

    def _columns(self) -> int:
        """How many may be written; 0 if the terminal is gone, or doesn't report its width."""
        try:
            return max(0, os.get_terminal_size(self._stream.fileno()).columns - 1)
        except OSError:
            return 0

    def _print(self, text: str) -> None:
        # The command line's own streams never fail (`streams`); that of a program which uses isobench may.
        if self._quiet:
            return
        try:
            getattr(self._stream, "write_as_is", self._stream.write)(text)
            self._stream.flush()
        except (OSError, ValueError):  # full, closed, or its encoding lacks a character
            self._quiet = True
