"""The cache of Builds: content-addressed folders, and an index from requests to Builds.

    builds/ID/                   model.onnx, inputs.msgpack, expected.msgpack, build.json
    builds/onnx/                 the user's own ONNX files, each stored once for all of its builds (`onnx_store`)
    builds/index/KEY.lock        held by the process that is building what the request asks for
    builds/index/KEY.json        KEY: a hash of the request (file, arguments, environment, ...). Holds the resulting
                                 builds, and every file that they depended on, with its hash

An index record is valid as long as none of those files has changed, and none of the builds' own (`evidence`). A folder
is complete or missing: it is renamed into place, and never changed afterwards.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isobench import paths
from isobench.builds import evidence
from isobench.builds.build import BUILD_FILE, Build, from_json
from isobench.failures import Ending
from isobench.planning.models import Model
from isobench.record import record
from isobench.system import files, leftovers
from isobench.system.locks import FileLock
from isobench.workers import protocol

if TYPE_CHECKING:
    from isobench.system.lock_holders import Holder

SCHEMA = "isobench.index/1"
LARGE_BYTES = 1 << 20
DAY_S = 86400


class Kind(StrEnum):
    """What of a path a build depended on."""

    FILE = "file"
    """Its content."""
    STAMP = "stamp"
    """Its size and time: nobody saw that it was read, and hashing gigabytes for a guess takes too long."""
    PRESENT = "present"
    ABSENT = "absent"
    FOLDER = "folder"
    """The names in it."""


@record(frozen=True, slots=True, kw_only=True)
class Dependency:
    """A path that a build depended on, as it was then. `workers/script_files.py` describes those of scripts."""

    path: str
    kind: Kind = Kind.FILE
    sha256: str = ""
    size_bytes: int = 0
    mtime_ns: int = 0

    @classmethod
    def of(cls, path: Path | str, sha256: str = "") -> Dependency:
        """Describe the file `path` as it is now; `sha256` where it is already known."""
        found = os.stat(path)  # noqa: PTH116
        return cls(
            path=str(path), sha256=sha256 or files.sha256(path), size_bytes=found.st_size, mtime_ns=found.st_mtime_ns
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Dependency:
        """The dependency that an index record or a worker describes.

        Raises:
            KeyError, TypeError, ValueError: it describes none.
        """
        if not isinstance(value["path"], str):
            raise TypeError("a number would be a file descriptor")
        if value["kind"] == Kind.FILE and "mtime_ns" not in value:
            return cls.of(value["path"], value["sha256"])
        return cls(**{**value, "kind": Kind(value["kind"])})

    def unchanged(self) -> bool:
        """Is it the same? Large files are compared by size and time, as git does; others by content."""
        try:
            if self.kind in {Kind.PRESENT, Kind.ABSENT}:
                return os.path.exists(self.path) == (self.kind is Kind.PRESENT)  # noqa: PTH110
            if self.kind is Kind.FOLDER:
                return _names_sha256(self.path) == self.sha256
            found = os.stat(self.path)  # noqa: PTH116
            if found.st_size != self.size_bytes:
                return False
            if (self.size_bytes > LARGE_BYTES or self.kind is Kind.STAMP) and found.st_mtime_ns == self.mtime_ns:
                return True
            return self.kind is Kind.FILE and files.sha256(self.path) == self.sha256
        except OSError:
            return False


def _names_sha256(folder: str) -> str:
    """The hash that `workers/script_files.py` takes of the names in a folder."""
    names = sorted(name for name in os.listdir(folder) if name != "__pycache__")  # noqa: PTH208
    return files.sha256_of("\n".join(names).encode(errors="surrogateescape"))


def key(request: Mapping[str, Any]) -> str:
    """The index key of a request: every JSON value in it counts."""
    return files.sha256_of(json.dumps(request, sort_keys=True).encode())[:32]


def look_up(index_key: str, model: Model, *, on_note: Callable[[str], None] = lambda _: None) -> list[Build] | None:
    """The Builds that an earlier run made for a request, if they and everything that they depended on are unchanged.

    `on_note` receives a sentence where a Build's own files have changed.
    """
    file = _record(index_key)
    try:
        record = protocol.read_json(file, SCHEMA)
        written = file.stat()
    except (OSError, protocol.ProtocolError):
        return None
    try:
        if not all(Dependency.from_json(entry).unchanged() for entry in record["dependencies"]):
            return None
        builds = [from_json(entry, folder=paths.builds() / entry["id"], model=model) for entry in record["builds"]]
    except (KeyError, TypeError, ValueError):  # written by another version
        return None
    for build in builds:
        if problem := evidence.changed_since(build, written.st_mtime_ns):
            on_note(f"the build of {build.name} in {build.folder} isn't as it was made: {problem}; it is built again")
            return None
    for build in builds:
        _note_use(build)
    return builds


def _note_use(build: Build) -> None:
    """Have the time of a Build's folders say, to a day, when it was used: `isobench cache gc` removes what isn't."""
    for one in build.every_set:
        with suppress(OSError):  # another user's
            if time.time() - last_used_s(one.folder) > DAY_S:
                os.utime(one.folder)


def last_used_s(folder: Path) -> float:
    """When the Build in a folder was looked up last, to a day, in seconds since 1970.

    Raises:
        OSError: it is gone.
    """
    return folder.stat().st_mtime


def remember(index_key: str, builds: Iterable[Build], dependencies: Sequence[Dependency]) -> None:
    """Write the index record by which `look_up` finds `builds`."""
    file = _record(index_key)
    file.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(
        file,
        {
            "schema": SCHEMA,
            "dependencies": [asdict(dependency) for dependency in dependencies],
            "builds": [build.to_json() for build in builds],
        },
        durable=True,
    )


def lock_of(index_key: str, what: str, *, on_wait: Callable[[str], None]) -> FileLock:
    """The lock on a request: one process builds what it asks for, the others wait, and find it in the cache."""
    file = _record(index_key).with_suffix(".lock")
    return FileLock(file, what=what, on_wait=on_wait, failure=Ending.RESULT)


def builder() -> Holder | None:
    """A process that is building something, if there is one."""
    from isobench.system import locks

    return next(filter(None, map(locks.holder, (paths.builds() / "index").glob("*.lock"))), None)


def forget(build_id: str) -> None:
    """Remove the index records of a Build, so that the next request for it builds it again."""
    for entry in records():
        if mentions(entry, build_id):
            entry.unlink(missing_ok=True)


def records() -> Iterator[Path]:
    """Every index record."""
    return (paths.builds() / "index").glob("*.json")


def is_complete(file: Path) -> bool:
    """Are all builds of an index record in the cache? Not if it can't be read, or names none."""
    try:
        entries = protocol.read_json(file, SCHEMA)["builds"]
        found = [str(one["id"]) for entry in entries for one in (entry, *entry["sets"])]
    except (OSError, KeyError, TypeError, ValueError):
        return False
    return bool(found) and all((paths.builds() / name / BUILD_FILE).exists() for name in found)


def mentions(file: Path, text: str) -> bool:
    """Has a JSON file this text?"""
    try:
        return text.encode() in protocol.read_bytes(file, most_bytes=protocol.MOST_JSON_BYTES)
    except (OSError, protocol.ProtocolError):
        return False


def store(build: Build, folder: Path, *, besides: Iterable[Path] = ()) -> Build:
    """Move the finished `folder` of a Build into the cache, unless it is there already; return the Build with hashes.

    `besides` are files that it has in other folders. All are on the disk when it can be found.
    """
    build = replace(build, files=evidence.seal(folder, build.folder, besides=besides))
    if build.folder.exists() or build.folder.is_symlink():
        if not evidence.problem(build) and (build.folder / BUILD_FILE).is_file():
            leftovers.remove(folder)
            return build
        leftovers.discard(build.folder)
    for file in folder.rglob("*"):
        if file.is_file():
            files.sync(file)
    files.write_json(folder / BUILD_FILE, build.to_json(), durable=True)
    build.folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(build.folder)
    except OSError:
        if not build.folder.is_dir():  # otherwise, another process has just stored the same
            raise
        leftovers.remove(folder)
    files.sync(build.folder.parent)
    return build


def _record(index_key: str) -> Path:
    return paths.builds() / "index" / f"{index_key}.json"
