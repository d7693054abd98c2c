"""Control groups of workers: one for each, where this user may make them, so that its whole tree ends at once.

A group lies in this process's own, without controllers: it changes nothing of how the worker is scheduled or what it
may use. Only version 2 can kill one. Where memory is limited, the worker has a group that limits it, of version 1 or 2.
A group's folder is locked while its host lives; whoever finds one that isn't
locked (the host was killed) ends and removes it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from isobench.record import record

_PREFIX = "isobench-"
_REMOVING_S = 1.0


@record(frozen=True, slots=True, kw_only=True)
class Group:
    """A control group; `lock` is the descriptor of its folder."""

    folder: Path
    lock: int

    @property
    def kills(self) -> bool:
        """Can the kernel kill it as a whole? In version 2, since Linux 5.14."""
        return (self.folder / "cgroup.kill").exists()

    def kill(self) -> None:
        """Kill every process in it, where the kernel can."""
        _write(self.folder / "cgroup.kill", "1")

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed because memory ran out, as far as it counts them."""
        for name in ("memory.events", "memory.oom_control"):
            with suppress(OSError):
                for line in (self.folder / name).read_text().splitlines():
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        return 0

    def remove(self) -> None:
        """Kill what is in it and remove it; one that can't be removed is left to the next host."""
        self.kill()
        deadline = time.monotonic() + _REMOVING_S
        while not _removed(self.folder) and time.monotonic() < deadline:
            time.sleep(0.001)
        os.close(self.lock)


def create() -> Group | None:
    """A new group, None where this process may not make one."""
    parent = _parent()
    return None if parent is None else _create(parent)


def create_limited(limit_bytes: int) -> Group | None:
    """A new group whose processes may use so much memory together, and no swap; None where it can't be made.

    Only this one has a controller: that of memory, and in version 2 those that its siblings have.
    """
    for parent, limit, swap in _memory_parents():
        group = _create(parent)
        if group is None:
            continue
        # Version 1 limits memory and swap together. Some kernels don't count swap.
        swap_limit = "0" if limit == "memory.max" else str(limit_bytes)
        limited = _write(group.folder / limit, str(limit_bytes))
        if limited and (_write(group.folder / swap, swap_limit) or not (group.folder / swap).exists()):
            return group
        group.remove()
    return None


def _memory_parents() -> Iterator[tuple[Path, str, str]]:
    """Folders in which a group may have a limit, with the names of the files for memory and for swap."""
    folder = own_folder()
    if folder is not None:
        # A group with processes has no controllers to give, unless it's the topmost; then its parent may have.
        for parent in (folder, folder.parent):
            with suppress(OSError):
                if "memory" in (parent / "cgroup.subtree_control").read_text().split():
                    sweep(parent)
                    yield parent, "memory.max", "memory.swap.max"
    for line in _own_groups():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            parent = Path("/sys/fs/cgroup/memory", path.lstrip("/"))
            if parent.is_dir():
                sweep(parent)
                yield parent, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"


def own_folder() -> Path | None:
    """The folder of the control group (version 2) of this process, None if it isn't mounted."""
    mounted = Path("/sys/fs/cgroup")
    if (mounted / "unified").is_dir():
        mounted /= "unified"
    for line in _own_groups():
        if line.startswith("0::/"):
            folder = mounted / line.removeprefix("0::/")
            return folder if (folder / "cgroup.procs").exists() else None
    return None


def _own_groups() -> list[str]:
    try:
        return Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []


@cache
def _parent() -> Path | None:
    """Where groups can be made; those of hosts that were killed are removed on the way."""
    folder = own_folder()
    if folder is None or not os.access(folder / "cgroup.procs", os.W_OK):
        return None
    group = _create(folder)
    if group is None:
        return None
    kills = group.kills
    group.remove()
    sweep(folder)
    return folder if kills else None


def _create(parent: Path) -> Group | None:
    folder = parent / f"{_PREFIX}{os.urandom(6).hex()}"
    lock = -1
    try:
        folder.mkdir()
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if folder.exists():  # no other host has just removed it
            return Group(folder=folder, lock=lock)
    except OSError:
        pass
    if lock >= 0:
        os.close(lock)
    return None


def sweep(parent: Path) -> None:
    """Remove the groups in `parent` whose host is gone."""
    for folder in parent.iterdir():
        if not folder.name.startswith(_PREFIX):
            continue
        with suppress(OSError):  # another host has just removed it
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                continue
            Group(folder=folder, lock=lock).remove()


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _write(file: Path, text: str) -> bool:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)  # without it, a plain file would be created
    except OSError:
        return False
    try:
        os.write(descriptor, text.encode())
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
