"""What processes have left in $ISOBENCH_HOME: found by the owner in its name, and removed.

Whatever isn't finished has its owner in its name (`paths.owner`): run directories, builds that are being made or
removed, files that are being written. If that process lives, it stays. If it was one of this host and has ended, it is
a leftover. Of another host's nothing is known, so it stays for days.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path

from isobench import paths
from isobench.workers import protocol

_OWNED = re.compile(r"[-.](?P<place>[0-9a-f]{8}-[0-9]+)-(?P<pid>[0-9]+)-(?P<start>[0-9]+)[-.]")
_UNKNOWN_S = 7 * 86400
"""How long it stays if nothing is known of its owner."""


class Owner(StrEnum):
    """Whether the process that made it still lives."""

    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"


def owner_of(name: str) -> Owner:
    """The owner of what has this name."""
    found = list(_OWNED.finditer(f"{name}."))
    place = paths.owner().rsplit("-", 2)[0]
    if not found or found[-1]["place"] != place or place.startswith(paths.UNKNOWN_BOOT):
        return Owner.UNKNOWN
    start = paths.start_of(int(found[-1]["pid"]))
    if start < 0:
        return Owner.UNKNOWN
    return Owner.ALIVE if start and start == int(found[-1]["start"]) else Owner.GONE


def is_left(path: Path) -> bool:
    """Has its owner gone, or nobody touched it for `_UNKNOWN_S` if that isn't known?"""
    owner = owner_of(path.name)
    return owner is Owner.GONE or (owner is Owner.UNKNOWN and _is_old(path))


def sweep() -> None:
    """Remove what processes have left in runs/, but no log of less than some days, and no samples; old files in tmp/.

    Samples that couldn't be saved stay until `isobench cache gc`. Usually there is nothing: two folders are listed.
    """
    for path in _entries(paths.temporary()):
        if _is_old(path):
            remove(path)
    for path in _entries(paths.runs()):
        recent = path.suffix == ".log" and not _is_old(path)
        if is_left(path) and not recent and not holds_samples(path):
            remove(path)


def _entries(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder)]  # noqa: PTH208 - pathlib's is slower
    except OSError:
        return []


def in_runs() -> Iterator[Path]:
    """Everything in runs/ that nobody uses, logs and samples included."""
    with suppress(OSError):
        yield from (path for path in sorted(paths.runs().iterdir()) if is_left(path))


def holds_samples(run_dir: Path) -> bool:
    """Did its worker finish its measurement?"""
    return all((run_dir / name).exists() for name in (protocol.OUTPUTS_FILE, protocol.SAMPLES_FILE))


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """A folder of our own, removed at the end; if this process is killed, it is a leftover.

    Raises:
        OSError: it can't be made.
    """
    folder = paths.new_run(name)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        remove(folder)


def discard(path: Path) -> None:
    """Remove a file or folder so that nobody takes half of it for the whole, whenever this process is killed.

    Raises:
        OSError: it can't be moved away.
    """
    leaving = paths.new_run("removed")
    leaving.parent.mkdir(parents=True, exist_ok=True)
    path.rename(leaving)
    remove(leaving)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder as far as that is possible."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            import shutil

            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def size_bytes(path: Path) -> int:
    """The size of a file, or of all files in a folder; what disappears meanwhile counts as nothing."""
    total = 0
    for file in [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]:
        with suppress(OSError):
            about = file.lstat()
            total += about.st_size if stat.S_ISREG(about.st_mode) else 0
    return total


def _is_old(path: Path) -> bool:
    with suppress(OSError):
        return time.time() - path.lstat().st_mtime > _UNKNOWN_S
    return False
