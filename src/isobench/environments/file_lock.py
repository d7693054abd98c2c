"""File locks: one process makes a thing, the others wait and then use it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from isobench.errors import ProvisionError


@contextmanager
def held(lock_file: Path, *, making: str, progress: Callable[[str], None]) -> Iterator[int]:
    """Hold a file lock, and hand out its descriptor; say for whom we wait, where we must.

    A child that inherits the descriptor keeps the lock for as long as it lives, even if we are killed. The
    file is removed on the way out, so one that is waited for may be gone by the time that the lock is had; then the
    lock is worth nothing and is tried for anew.

    Raises:
        ProvisionError: the file can't be made.
    """
    import fcntl

    told = False
    while True:
        descriptor = _opened(lock_file)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "?"
                    progress(f"waiting for another isobench (pid {holder}) that is making {making}")
                    told = True
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                break
        except OSError as error:
            os.close(descriptor)
            raise ProvisionError(
                f"{lock_file} can't be locked: {error.strerror}", hint="set ISOBENCH_HOME to a local disk"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        with suppress(OSError):
            lock_file.unlink()
        os.close(descriptor)


def _opened(lock_file: Path) -> int:
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise ProvisionError(
            f"{error.filename or lock_file} can't be made: {error.strerror}",
            hint="set ISOBENCH_HOME to a folder that you can write to",
        ) from None
