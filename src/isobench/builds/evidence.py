"""The files that a Build consists of: their hashes are recorded when it is made, and verified before it is measured.

A cached build is looked up before the worker starts, so the look-up doesn't hash gigabytes: it reads from the inodes
whether a file was changed since its record was written, and hashes only what was. Everything else is hashed while the
worker imports its runtime (`verify`), once for each version of a file in this process.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isobench import paths
from isobench.record import record
from isobench.system import files

if TYPE_CHECKING:
    from isobench.builds.build import Build


@record(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """One file of a Build, as it was when the Build was made; `name` is relative to the Build's folder."""

    name: str
    sha256: str
    size_bytes: int

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SealedFile:
        """The file that `asdict` described.

        Raises:
            KeyError, TypeError, ValueError: it describes none.
        """
        name, sha256, size_bytes = value["name"], value["sha256"], value["size_bytes"]
        if not (isinstance(name, str) and isinstance(sha256, str) and type(size_bytes) is int) or "\0" in name:
            raise TypeError(f"no file of a build: {value}")
        return cls(name=name, sha256=sha256, size_bytes=size_bytes)


def seal(folder: Path, target: Path, *, besides: Iterable[Path] = ()) -> tuple[SealedFile, ...]:
    """Record every file in `folder`, which will be the Build's folder `target`, and those of `besides`.

    Raises:
        OSError: one isn't a regular file, or can't be read.
    """
    own = sorted(file for file in folder.rglob("*") if file.is_symlink() or not file.is_dir())
    names = {str(file.relative_to(folder)): file for file in own}
    names |= {os.path.relpath(file, target): file for file in besides}
    return tuple(
        SealedFile(name=name, sha256=sha256(file), size_bytes=file.stat().st_size) for name, file in names.items()
    )


def changed_since(build: Build, time_ns: int) -> str:
    """How a Build differs from its record of that time, as in "model.onnx was changed"; "" where that can't be seen.

    A file is hashed if its inode was changed after `time_ns` (nanoseconds since 1970, by the clock of its file system).
    """
    return _first_problem(build, lambda about: about.st_ctime_ns < time_ns)


def problem(build: Build) -> str:
    """How the files of a Build differ from their hashes, as in "model.onnx was changed"; "" if they don't."""
    return _first_problem(build, lambda _: False)


def problem_since(build: Build) -> str:
    """The same after a measurement: what is missing was removed after it was read."""
    return _first_problem(build, lambda _: False, may_be_gone=True)


def _first_problem(build: Build, believed: Callable[[os.stat_result], bool], *, may_be_gone: bool = False) -> str:
    for one in build.every_set:
        for sealed in one.files:
            try:
                difference = _difference(os.path.normpath(f"{one.folder}/{sealed.name}"), sealed, believed)
            except FileNotFoundError:
                difference = "" if may_be_gone else "is missing"
            except OSError as error:
                difference = f"can't be read: {error.strerror}"
            if difference:
                return f"{sealed.name} {difference}"
    return ""


def _difference(file: str, sealed: SealedFile, believed: Callable[[os.stat_result], bool]) -> str:
    about = os.lstat(file)
    if not stat.S_ISREG(about.st_mode):
        return "isn't a regular file"
    if about.st_size != sealed.size_bytes:
        return f"has {about.st_size:,} bytes instead of {sealed.size_bytes:,}"
    return "" if believed(about) or sha256(file) == sealed.sha256 else "was changed"


def is_same(file: Path, expected_sha256: str) -> bool:
    """Has a file of the user's own this hash, be it a link or not?"""
    try:
        return sha256(paths.real(file)) == expected_sha256
    except OSError:
        return False


_hashes: dict[tuple[int, ...], str] = {}
"""Of each version of a file, as its inode tells them apart: several Cases share a build."""


def sha256(file: str | Path) -> str:
    """The SHA-256 of a regular file, hashed once for each version of it.

    Raises:
        OSError: it can't be read, or isn't a regular file.
    """
    # Neither a link is followed here, nor is a FIFO waited for.
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(file))
    version = about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns
    if version in _hashes:
        os.close(descriptor)
    else:
        _hashes[version] = files.sha256(descriptor)
    return _hashes[version]
