"""Do locks work in a folder? Two processes try, and the mount's options say whether other hosts are excluded, too."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path

from isobench.errors import LockError
from isobench.system import process
from isobench.system.locks import FileLock


class Kind(StrEnum):
    """How a lock excludes others."""

    FLOCK = "flock"
    """By the kernel; it ends with its holder, and with the children that inherited its descriptor."""
    SOFT = "soft"
    """By the existence of the file. One of a dead process on this host is removed; one of another host never is."""


_SECOND = """
import sys
from pathlib import Path
from isobench.errors import LockHeldError
from isobench.system.locks import FileLock
try:
    with FileLock(Path(sys.argv[1]), what="", timeout_s=0, keep=True):
        print("free", end="")
except LockHeldError:
    print("held", end="")
"""
_LOCAL_ONLY = {
    "nfs": {"local_lock=flock", "local_lock=all", "nolock"},
    "nfs4": {"local_lock=flock", "local_lock=all", "nolock"},
    "lustre": {"localflock"},
    "cifs": {"nobrl"},
}
"""Options of shared file systems that keep locks within each host."""


def check(folder: Path) -> Kind:
    """How locks in `folder` work, which is created if necessary: this process and another exclude each other there.

    Raises:
        LockError: they don't, or not processes of different hosts.
    """
    probe = folder / f".lock-{os.uname().nodename}-{os.getpid()}-{os.urandom(3).hex()}"
    lock = FileLock(probe, what=str(probe), timeout_s=0)
    with lock:
        kind = Kind.SOFT if lock.is_soft else Kind.FLOCK
        try:
            second = process.capture([sys.executable, "-P", "-c", _SECOND, os.fspath(probe)], env=os.environ)
        except OSError as error:
            raise LockError(f"locks in {folder} can't be checked", details=str(error)) from None
    if second != "held":
        raise LockError(
            f"locks in {folder} exclude nobody: two processes held one at the same time",
            hint="Use a folder on another file system.",
        )
    _refuse_local_only(folder)
    return kind


def works(folder: Path) -> str:
    """Why locks in `folder` don't work, "" if they do."""
    try:
        check(folder)
    except LockError as error:
        return f"{error.message}. {error.hint}".strip()
    return ""


def _refuse_local_only(folder: Path) -> None:
    """Raises:
    LockError: the file system of `folder` is shared between hosts, and its options keep locks within each.
    """
    file_system, options = _mount(folder)
    if found := sorted(_LOCAL_ONLY.get(file_system, set()) & options):
        raise LockError(
            f"locks in {folder} exclude processes of this host only: {file_system} is mounted with {found[0]}",
            hint=f"Mount it without {found[0]}, or use a folder on a local disk on each host.",
        )


def _mount(folder: Path) -> tuple[str, set[str]]:
    """The type and the options of the file system that `folder` is on; ("", none) where /proc doesn't say."""
    try:
        device = os.stat(folder).st_dev  # noqa: PTH116
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "", set()
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        before, _, after = line.partition(" - ")
        if before.split()[2] == number:
            file_system, _, options = after.split(" ", 2)
            return file_system, {*options.split(","), *before.split()[5].split(",")}
    return "", set()
