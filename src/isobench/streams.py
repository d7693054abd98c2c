"""Standard output and error of the command line. To write to them never fails.

A measurement doesn't end because nobody reads what is printed. If the reader is gone (`| head`, a terminal that was
closed), the rest is dropped. Any other failure, such as a full disk, is remembered, for the exit code. A stream that
was closed before the start is /dev/null: otherwise a file that is opened later would get its number, and be written to.
Characters that a terminal would obey, and those that the encoding lacks, are printed as escapes.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
import time
from contextlib import suppress
from typing import Any

from isobench.escapes import printable

PATIENCE_S = {1: 10.0, 2: 1.0}
"""How long a non-blocking pipe may be full; by descriptor. Progress is less important than what follows it."""
_INTERRUPTED_PATIENCE_S = 0.5
_READER_GONE = {errno.EPIPE, errno.ECONNRESET, errno.ENXIO}


def install() -> None:
    """Replace `sys.stdout` and `sys.stderr`."""
    with suppress(OSError):
        while (free := os.open(os.devnull, os.O_RDWR)) <= 2:  # the first that are free
            pass
        os.close(free)
    sys.stdout, sys.stderr = _stream(1, sys.stdout), _stream(2, sys.stderr)


def unread() -> bool:
    """Whether standard output's reader is gone, or it can't be written: what is printed from now on is lost."""
    raw = _raw(sys.stdout)
    return raw is not None and (raw.gone or raw.problem is not None)


def problem() -> OSError | None:
    """Why something couldn't be written to standard output, unless its reader is gone."""
    sys.stdout.flush()
    raw = _raw(sys.stdout)
    return raw.problem if raw is not None else None


class _Raw(io.FileIO):
    """A descriptor; a write that fails is counted as written."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.gone = False
        self._interrupted = False
        self.problem: OSError | None = None

    def write(self, data: Any, /) -> int:
        if self.gone:
            return len(data)
        try:
            return self._written(data)
        except OSError as error:
            if self._interrupted or error.errno in _READER_GONE or (error.errno == errno.EIO and not self._is_file()):
                self.gone = True
            else:
                self.problem = self.problem or error
        except KeyboardInterrupt:  # perhaps nobody reads: what is left must not block once more
            self._interrupted = True
            raise
        return len(data)

    def _written(self, data: Any) -> int:
        if not self._interrupted:
            written: int | None = super().write(data)
            if written is not None:
                return written
        import select

        ready = select.poll()
        ready.register(self.fileno(), select.POLLOUT)
        patience_s = _INTERRUPTED_PATIENCE_S if self._interrupted else PATIENCE_S[self.fileno()]
        until = time.monotonic() + (0 if self.problem else patience_s)
        while True:
            if not ready.poll(max(0, until - time.monotonic()) * 1000):
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            written = super().write(data[: select.PIPE_BUF])  # so much is written at once where anything is
            if written is not None:
                return written

    def _is_file(self) -> bool:
        return stat.S_ISREG(os.fstat(self.fileno()).st_mode)


class Printed(io.TextIOWrapper):
    """Text whose control characters are escapes, whoever writes it.

    It shows no `buffer`: click would write to that as it likes where the encoding is ASCII.
    """

    buffer = property(lambda _self: None)

    raw: _Raw | None = None
    """The descriptor that it writes to; None: another file."""

    def write(self, text: str, /) -> int:
        self.write_as_is(printable(text))
        return len(text)

    def write_as_is(self, text: str, /) -> int:
        """Write isobench's own control characters, too."""
        return super().write(text)


def _stream(descriptor: int, given: Any) -> io.TextIOWrapper:
    raw = _Raw(descriptor)
    encoding = getattr(given, "encoding", None) or "utf-8"
    lines = descriptor == 2 or raw.isatty()
    made = Printed(io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=lines)
    made.raw = raw
    return made


def _raw(stream: Any) -> _Raw | None:
    raw = getattr(stream, "raw", None)
    return raw if isinstance(raw, _Raw) else None
