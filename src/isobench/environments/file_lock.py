"""File locks: one process makes something, the others wait and then use it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from isobench.errors import ProvisionError


class FileLock:
    """An exclusive lock on a file, held within the `with` block, which receives the descriptor.

    A child that inherits the descriptor keeps the lock for as long as it lives, even if we are killed. The file is
    removed on the way out, so the one we waited for may be gone once we hold its lock; that lock excludes nobody, and
    we try again.

    `making` names what the lock protects; `progress` receives a line if we have to wait.

    Raises:
        ProvisionError: on entry, if the file can't be created or locked.
    """

    def __init__(self, file: Path, *, making: str, progress: Callable[[str], None]) -> None:
        self._file = file
        self._making = making
        self._progress = progress
        self._reported = False
        self._descriptor = -1

    def __enter__(self) -> int:
        self._descriptor = self._acquired()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        return self._descriptor

    def __exit__(self, *_exception: object) -> None:
        with suppress(OSError):
            self._file.unlink()
        os.close(self._descriptor)

    def _acquired(self) -> int:
        while True:
            descriptor = _opened(self._file)
            try:
                self._lock(descriptor)
                if os.fstat(descriptor).st_nlink:
                    return descriptor
            except OSError as error:
                os.close(descriptor)
                raise ProvisionError(
                    f"{self._file} can't be locked: {error.strerror}",
                    hint="Set ISOBENCH_HOME to a folder on a local disk.",
                ) from None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not self._reported:
                holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "?"
                self._progress(f"waiting for another isobench (pid {holder}) that is making {self._making}")
                self._reported = True
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def _opened(file: Path) -> int:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise ProvisionError(
            f"{error.filename or file} can't be created: {error.strerror}",
            hint="Set ISOBENCH_HOME to a folder that you can write to.",
        ) from None
