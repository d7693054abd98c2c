"""Progress messages on standard error: standard output is for results."""

from __future__ import annotations

import os
import sys
import time
from typing import Protocol, TextIO

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}


def printable(text: str) -> str:
    r"""The text with its control characters as escapes (`\x1b`): a name in a model's file must not move the cursor."""
    return text.translate(_CONTROLS)


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


class Console:
    """Prints progress: one line that is overwritten on a terminal, a line for each message in a file or a pipe.

    It writes only when something happens, never by a timer, so that it doesn't disturb a measurement.
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._rewrites = self._stream.isatty()
        self._quiet = quiet
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
        if self._rewrites and not self._quiet:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _write(self, text: str, *, stays: bool = False) -> None:
        if self._quiet:
            return
        text = printable(text)
        if self._rewrites:
            # A line that wraps couldn't be overwritten. (0 columns: the terminal doesn't report its width.)
            columns = os.get_terminal_size(self._stream.fileno()).columns or len(text) + 1
            self._stream.write(f"\r\x1b[K{text}\n" if stays else f"\r\x1b[K{text[: columns - 1]}")
        else:
            self._stream.write(text + "\n")
        self._stream.flush()
