"""What `isobench cache gc` removes: what killed processes left, and builds that nobody has used for long.

What a living process uses stays, as does whatever of another host may be in use (`system/leftovers.py`). A lock is
never taken from its holder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from isobench import environments, paths
from isobench.builds import build, cache, listing, onnx_store
from isobench.environments.provision import beside
from isobench.errors import IsobenchError, LockError
from isobench.record import record
from isobench.sweeps.folder import SWEEP_FILE
from isobench.system import leftovers, locks

_UNFINISHED = (
    "*.tmp",
    "locks/*.tmp",
    "builds/*.tmp",
    "builds/*/*.tmp",
    "builds/onnx/*/*.tmp",
    "environments/*/*.tmp",
    "results/*.tmp",
    "sweeps/*/*.tmp",
    "sweeps/*/*/*.tmp",
)
"""Where files and folders are written before they are renamed."""


@record(frozen=True, slots=True, kw_only=True)
class Garbage:
    """Something that nobody needs; `remove` removes it, or raises an error that says why it can't."""

    path: Path
    why: str
    size_bytes: int
    remove: Callable[[], object]


def find(*, unused_s: float) -> Iterator[Garbage]:
    """Everything that nobody needs: leftovers, and builds that weren't used for `unused_s`.

    It is meant to be removed one after the other: what becomes unused by that comes later.
    """
    for path in leftovers.in_runs():
        why = "samples that weren't saved" if leftovers.holds_samples(path) else "left by a process that has ended"
        yield _garbage(path, why)
    for pattern in _UNFINISHED:
        for path in sorted(paths.home().glob(pattern)):
            if leftovers.is_left(path):
                yield _garbage(path, "unfinished")
    yield from _sweeps()
    yield from _environments()
    yield from _builds(unused_s)
    for folder in (paths.builds() / "index", paths.environments(), paths.home()):
        for file in sorted(folder.glob("*.lock")):
            if _is_free(file):
                yield Garbage(path=file, why="a lock that nobody holds", size_bytes=0, remove=partial(_release, file))


def _sweeps() -> Iterator[Garbage]:
    """Folders of sweeps whose plan was never written."""
    for folder in sorted(paths.sweeps().glob("*")):
        if not (folder / SWEEP_FILE).exists() and not any(folder.glob("*/*")) and leftovers.is_left(folder):
            yield _garbage(folder, "a sweep that was never written")


def _garbage(path: Path, why: str) -> Garbage:
    return Garbage(path=path, why=why, size_bytes=leftovers.size_bytes(path), remove=partial(leftovers.discard, path))


def _environments() -> Iterator[Garbage]:
    """Installations that nobody is finishing."""
    for folder in environments.unfinished():
        if _is_free(beside(folder, ".lock")):
            log, temporary = (beside(folder, suffix) for suffix in (".log", ".tmp"))
            size = sum(map(leftovers.size_bytes, (folder, log, temporary)))
            remove = partial(environments.remove, folder.name)
            why = "an environment that wasn't finished"
            yield Garbage(path=folder, why=why, size_bytes=size, remove=remove)


def _builds(unused_s: float) -> Iterator[Garbage]:
    for one in listing.list_builds():
        try:
            unused = time.time() - cache.last_used_s(one.folder)
        except OSError:  # removed meanwhile
            continue
        if unused > unused_s:
            why = f"a build of {one.name} that wasn't used for {unused / cache.DAY_S:.0f} days"
            size = leftovers.size_bytes(one.folder)
            yield Garbage(path=one.folder, why=why, size_bytes=size, remove=partial(listing.remove_build, one))
    for file in sorted(cache.records()):
        if not cache.is_complete(file):
            yield _garbage(file, "an index record without a build")
    if not cache.builder():
        for folder in listing.unused():
            yield _garbage(folder, "an ONNX file that no build uses")
    for folder in sorted(paths.builds().glob("*")):
        known = folder.name == "index" or folder == onnx_store.folder() or (folder / build.BUILD_FILE).exists()
        if not known and leftovers.is_left(folder):
            yield _garbage(folder, "no build")


def _is_free(lock: Path) -> bool:
    try:
        return locks.holder(lock) is None
    except LockError:
        return False


def _release(file: Path) -> None:
    with suppress(IsobenchError), locks.FileLock(file, what=str(file), timeout_s=0):
        pass  # it is removed by whoever releases it
