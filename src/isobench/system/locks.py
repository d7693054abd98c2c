"""Locks between processes: one works, the others wait, and are shown who it is.

Where flock works, the kernel holds the lock: it releases it when its holder ends, however it ends, and who waits sleeps
in the kernel. Where it doesn't work (some network file systems), filelock's SoftFileLock is used: the lock is held for
as long as its file exists. The two respect each other, because flock may work on one node of a cluster and not on
another (see `lock_holders`).

flock is called here as filelock's FileLock calls it, on the same file, so that the two exclude each other. filelock is
imported for soft locks only: its import takes 80 ms, more than a command should wait for, and would disturb the
measurement that it waits for more than hours of polling do. And filelock has no wait that sleeps in the kernel.
`lock_holders`, too, is imported only where somebody has to wait.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from isobench.errors import LockError, LockHeldError
from isobench.failures import Ending
from isobench.system import lock_files

if TYPE_CHECKING:
    import filelock

    from isobench.system.lock_holders import Holder

_NO_FLOCK = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
_LOOK_AGAIN_S = 1.0
"""How often a process looks that can't sleep in the kernel: rarely, since somebody may be measuring."""
_FIRST_LOOK_S = 0.05
_OPEN_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MOVE_HOME = "Set ISOBENCH_HOME to a folder that you can write to."


class FileLock:
    """An exclusive lock on a file, held within the `with` block, which receives a descriptor of the file.

    A child that inherits the descriptor keeps the lock for as long as it lives, even if we are killed; a soft lock ends
    with us. The file is removed on the way out unless `keep` is true. `what` names what the lock protects. `on_wait`
    receives one sentence before this process waits, which it does for as long as it takes, or for `timeout_s` (0: it
    doesn't wait). `between_users`: everybody on this machine may take it, so its folder and file are open to all, and
    hard links are refused, too. `failure` is the kind of its errors. The holder can't take it again.

    Raises:
        LockHeldError: on entry, if it isn't free in time.
        LockError: on entry, if the file can't be created or locked, or isn't safe to use.
    """

    def __init__(
        self,
        file: Path,
        *,
        what: str,
        on_wait: Callable[[str], None] = lambda _: None,
        timeout_s: float | None = None,
        keep: bool = False,
        between_users: bool = False,
        failure: Ending = Ending.USAGE,
    ) -> None:
        self._file = file
        self._what = what
        self._on_wait = on_wait
        self._timeout_s = timeout_s
        self._end_s = 0.0
        self._keep = keep
        self._between_users = between_users
        self._failure = failure
        self._reported = False
        self._descriptor = -1
        self._soft: filelock.SoftFileLock | None = None

    @property
    def is_soft(self) -> bool:
        """Is it held as a soft lock?"""
        return self._soft is not None

    def __enter__(self) -> int:
        self._end_s = time.monotonic() + (self._timeout_s or 0)
        self._descriptor = self._acquired()
        return self._descriptor

    def __exit__(self, *_exception: object) -> None:
        try:
            with suppress(OSError):
                if self._soft:
                    self._soft.release()
                elif self._keep:
                    os.ftruncate(self._descriptor, 0)
                elif _is_at(self._file, self._descriptor):  # before the lock is released: nobody else removes it
                    self._file.unlink()
        finally:
            os.close(self._descriptor)

    def _acquired(self) -> int:
        while True:
            descriptor, created = self._opened()
            keep_open = False
            try:
                self._flock(descriptor)
                # The one that we waited for may have removed the file; a lock on that excludes nobody.
                if not _is_at(self._file, descriptor):
                    continue
                # Between users flock decides, where it works: anybody could leave a marker.
                if self._between_users or not lock_files.is_marker(descriptor):
                    lock_files.introduce(descriptor)
                    keep_open = True
                    return descriptor
            except OSError as error:
                if error.errno == errno.ESTALE:  # removed by another host
                    continue
                if error.errno not in _NO_FLOCK:
                    raise self._failed(f"{self._file} can't be locked: {error.strerror}") from None
                if created and _is_at(self._file, descriptor):
                    self._file.unlink()  # its existence would mean that somebody holds it
            finally:
                if not keep_open:
                    os.close(descriptor)
            return self._acquired_softly()

    def _flock(self, descriptor: int) -> None:
        """Take flock's lock, or wait for it.

        Raises:
            OSError: flock doesn't work here.
            LockHeldError: it wasn't released in time.
        """
        if _try(descriptor):
            return
        holder = self._introduction(descriptor)
        if _try(descriptor):  # somebody had only looked: see `holder`
            return
        self._report(holder)
        if self._timeout_s is None:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
            return
        pause_s = _FIRST_LOOK_S
        while (left_s := self._end_s - time.monotonic()) > 0:
            time.sleep(min(pause_s, left_s))
            if _try(descriptor):
                return
            pause_s = min(2 * pause_s, _LOOK_AGAIN_S)
        raise self._held(self._introduction(descriptor))

    def _introduction(self, descriptor: int) -> Holder | None:
        return _introduction(descriptor, between_users=self._between_users)

    def _acquired_softly(self) -> int:
        import filelock

        soft = filelock.SoftFileLock(self._file, thread_local=False)
        try:
            if not _try_softly(soft):
                holder = self._marker()
                self._report(holder, _advice(holder, self._file))
                left_s = self._end_s - time.monotonic()
                if self._timeout_s is None:
                    soft.acquire(poll_interval=_LOOK_AGAIN_S)
                elif left_s > 0:
                    soft.acquire(timeout=left_s, poll_interval=min(_LOOK_AGAIN_S, left_s))
                else:
                    raise self._held(holder, _advice(holder, self._file))
            descriptor = os.open(self._file, os.O_RDONLY | _OPEN_FLAGS)
        except filelock.Timeout:
            holder = self._marker()
            raise self._held(holder, _advice(holder, self._file)) from None
        except OSError as error:
            soft.release()
            raise self._failed(f"{self._file} can't be locked: {error.strerror}") from None
        self._soft = soft
        return descriptor

    def _marker(self) -> Holder | None:
        with suppress(OSError):
            descriptor = os.open(self._file, os.O_RDONLY | _OPEN_FLAGS)
            try:
                return self._introduction(descriptor)
            finally:
                os.close(descriptor)
        return None

    def _report(self, holder: Holder | None, advice: str = "") -> None:
        if self._timeout_s == 0 or self._reported:
            return
        self._reported = True
        self._on_wait(f"{self._what} is in use by {_in_words(holder)}; waiting{f'. {advice}' if advice else ''}")

    def _held(self, holder: Holder | None, advice: str = "") -> LockHeldError:
        when = f"was not free within {self._timeout_s:g} s" if self._timeout_s else "is not free"
        return LockHeldError(
            f"{self._what} {when}: in use by {_in_words(holder)}",
            hint=advice or "Wait until that process has ended, or end it.",
            kind=self._failure,
        )

    def _failed(self, message: str, *, hint: str = _MOVE_HOME) -> LockError:
        return LockError(message, hint=hint, kind=self._failure)

    def _opened(self) -> tuple[int, bool]:
        """A descriptor of the file, and whether this call created it."""
        try:
            self._make_folder()
            while True:
                # First without O_CREAT, which the kernel refuses for another user's file in a folder that everybody may
                # write to.
                with suppress(FileNotFoundError):
                    descriptor, created = self._existing(), False
                    break
                with suppress(FileExistsError):
                    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN_FLAGS
                    descriptor, created = os.open(self._file, flags, 0o666), True
                    if self._between_users:
                        os.fchmod(descriptor, 0o666)  # whatever the umask
                    break
        except OSError as error:
            reason = "it is a link" if error.errno == errno.ELOOP else error.strerror
            owner = _owner(self._file) if self._between_users else ""
            raise self._failed(f"{error.filename or self._file} can't be opened: {reason}{owner}") from None
        found = os.fstat(descriptor)
        # Another user's link would make us write to a file of their choice.
        if not stat.S_ISREG(found.st_mode) or (self._between_users and found.st_nlink > 1):
            os.close(descriptor)
            raise self._failed(f"{self._file} must be a regular file without other links", hint="Remove it.")
        return descriptor, created

    def _existing(self) -> int:
        """A descriptor of the file, if it exists; where another user allows only reading, that is enough for flock."""
        try:
            return os.open(self._file, os.O_RDWR | _OPEN_FLAGS)
        except OSError as error:
            if not self._between_users or error.errno not in {errno.EACCES, errno.EROFS}:
                raise
            return os.open(self._file, os.O_RDONLY | _OPEN_FLAGS)

    def _make_folder(self) -> None:
        folder = self._file.parent
        if not self._between_users:
            folder.mkdir(parents=True, exist_ok=True)
            return
        try:
            folder.mkdir(mode=0o1777)
            folder.chmod(0o1777)  # whatever the umask; sticky, so that nobody can remove another user's file
        except FileExistsError:
            if not stat.S_ISDIR(folder.lstat().st_mode):
                raise self._failed(f"{folder} must be a folder") from None


def holder(file: Path) -> Holder | None:
    """The process that holds the lock on `file`; None if nobody does, whatever its last holder left.

    Raises:
        LockError: the file can't be read.
    """
    import fcntl

    from isobench.system import lock_holders

    unknown = lock_holders.Holder()
    try:
        descriptor = os.open(file, os.O_RDONLY | _OPEN_FLAGS)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LockError(f"{file} can't be read: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if not lock_files.is_marker(descriptor):
            return None
    except (BlockingIOError, PermissionError):
        return _introduction(descriptor) or unknown
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise LockError(f"{file} can't be read: {error.strerror}") from None
    finally:
        seen = lock_holders.read(descriptor)
        os.close(descriptor)
    return (seen or unknown) if _is_held_softly(file) else None


def _try(descriptor: int) -> bool:
    """Take flock's lock if it is free.

    Raises:
        OSError: flock doesn't work here.
    """
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # EACCES on some file systems
        return False
    return True


def _try_softly(soft: filelock.SoftFileLock) -> bool:
    import filelock

    for _ in range(2):  # a first call may only remove a stale one
        with suppress(filelock.Timeout):
            soft.acquire(blocking=False)
            return True
    return False


def _is_held_softly(file: Path) -> bool:
    """Does filelock find its holder alive, or of another host? It decides that by trying."""
    import filelock

    soft = filelock.SoftFileLock(file, thread_local=False)
    try:
        free = _try_softly(soft)
    except OSError:  # a folder that we can't write to
        return True
    if free:
        soft.release()
    return not free


def _is_at(file: Path, descriptor: int) -> bool:
    """Is it still the file of this name? NFS renames one that is removed while it is open, so links don't say."""
    try:
        named = file.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))


def _introduction(descriptor: int, *, between_users: bool = False) -> Holder | None:
    from isobench.system import lock_holders

    return lock_holders.introduction(descriptor, between_users=between_users)


def _owner(file: Path) -> str:
    """As in "; it belongs to ana"; "" where that isn't known, or it is our own."""
    with suppress(OSError):
        owner = file.lstat().st_uid
        return f"; it belongs to {lock_files.user_name(owner)}" if owner != os.getuid() else ""
    return ""


def _in_words(found: Holder | None) -> str:
    return found.in_words if found else "another process"


def _advice(found: Holder | None, file: Path) -> str:
    """What to do about the file of a soft lock whose holder can't be seen from here."""
    seen = found is not None and found.is_here and os.path.exists(f"/proc/{found.pid}")  # noqa: PTH110
    return "" if seen else f"If that process has ended, remove {file}"
