"""The cache of Builds: content-addressed folders, and an index from requests to Builds.

    builds/ID/                   model.onnx, inputs.msgpack, expected.msgpack, build.json
    builds/onnx/                 the user's own ONNX files, each stored once for all of its builds (`onnx_store`)
    builds/index/KEY.lock        held by the process that is building what the request asks for
    builds/index/KEY.json        KEY: a hash of the request (file, arguments, environment, ...). Holds the resulting
                                 builds, and every file that they depended on, with its hash

An index record is valid as long as none of those files has changed. A folder is complete or missing: it is renamed into
place, and never changed afterwards.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isobench import paths
from isobench.builds.build import BUILD_FILE, Build, from_json
from isobench.failures import FailureKind
from isobench.planning.models import Model
from isobench.record import record
from isobench.system import files
from isobench.system.locks import FileLock
from isobench.workers import protocol

if TYPE_CHECKING:
    from isobench.system.lock_holders import Holder

SCHEMA = "isobench.index/1"
LARGE_BYTES = 1 << 20


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


def look_up(index_key: str, model: Model) -> list[Build] | None:
    """The Builds that an earlier run made for a request, if everything that they depended on is unchanged."""
    try:
        record = protocol.read_json(_record(index_key), SCHEMA)
    except (FileNotFoundError, protocol.ProtocolError):
        return None
    try:
        if not all(Dependency.from_json(entry).unchanged() for entry in record["dependencies"]):
            return None
        builds = [from_json(entry, folder=paths.builds() / entry["id"], model=model) for entry in record["builds"]]
    except (KeyError, TypeError, ValueError):  # written by another version
        return None
    return builds if all(map(_is_whole, builds)) else None


def remember(index_key: str, builds: Iterable[Build], dependencies: Sequence[Dependency]) -> None:
    """Write the index record by which `look_up` finds `builds`."""
    file = _record(index_key)
    file.parent.mkdir(parents=True, exist_ok=True)
    protocol.write_json(
        file,
        {
            "schema": SCHEMA,
            "dependencies": [asdict(dependency) for dependency in dependencies],
            "builds": [build.to_json() for build in builds],
        },
    )


def lock_of(index_key: str, what: str, *, on_wait: Callable[[str], None]) -> FileLock:
    """The lock on a request: one process builds what it asks for, the others wait, and find it in the cache."""
    file = _record(index_key).with_suffix(".lock")
    return FileLock(file, what=what, on_wait=on_wait, failure=FailureKind.RESULT)


def builder() -> Holder | None:
    """A process that is building something, if there is one."""
    from isobench.system import locks

    return next(filter(None, map(locks.holder, (paths.builds() / "index").glob("*.lock"))), None)


def forget(build_id: str) -> None:
    """Remove the index records of a Build, so that the next request for it builds it again."""
    for entry in (paths.builds() / "index").glob("*.json"):
        if build_id in entry.read_text(encoding="utf-8", errors="replace"):
            entry.unlink(missing_ok=True)


def store(build: Build, folder: Path) -> None:
    """Describe the Build in its finished `folder`, and move that into the cache, unless it is there already."""
    protocol.write_json(folder / BUILD_FILE, build.to_json())
    build.folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(build.folder)
    except OSError:
        if not build.folder.is_dir():
            raise
        import shutil

        shutil.rmtree(folder)


def _is_whole(build: Build) -> bool:
    inputs = all(one.inputs_file.exists() for one in build.every_set)
    return inputs and (build.onnx_file is None or build.onnx_file.exists())


def _record(index_key: str) -> Path:
    return paths.builds() / "index" / f"{index_key}.json"
