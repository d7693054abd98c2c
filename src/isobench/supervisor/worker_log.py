"""The log of a worker, cut to its beginning and its end: whatever it prints, it fills neither the disk nor a Result."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from isobench.failures import Phase

MOST_RUNNING_BYTES = 64 << 20
"""A log that is longer while its worker runs is cut."""
_HEAD_BYTES = _TAIL_BYTES = 1 << 20


def looks_every_s(phase: Phase) -> float:
    """How long the host sleeps between two looks at a log, if the worker sends nothing."""
    return 10.0 if phase is Phase.MEASURING else 1.0


class WorkerLog:
    """The file that a worker's standard output and error are appended to, opened before the worker could replace it."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._left_out = 0
        self._note = b""

    def cut(self, most_bytes: int = _HEAD_BYTES + _TAIL_BYTES) -> None:
        """If it has more than `most_bytes`, leave the first and the last MiB, and a line that says what is missing."""
        with suppress(OSError):  # a full disk: it doesn't grow either
            size = os.fstat(self._descriptor).st_size
            if size <= most_bytes + len(self._note):
                return
            tail = os.pread(self._descriptor, _TAIL_BYTES, size - _TAIL_BYTES)
            # What it prints meanwhile is appended, or lost.
            os.ftruncate(self._descriptor, _HEAD_BYTES)
            self._left_out += size - len(self._note) - _HEAD_BYTES - len(tail)
            self._note = b"\n[isobench left out %d bytes of this log here]\n" % self._left_out
            os.write(self._descriptor, self._note + tail)

    def close(self) -> None:
        """Cut it for the last time, and close it."""
        self.cut()
        os.close(self._descriptor)
