"""The cache of Builds: content-addressed folders, and an index that says of what each was made.

    builds/ID/                   model.onnx, inputs.msgpack, expected.msgpack, build.json
    builds/index/KEY.json        KEY: what was asked for (file, arguments, environment, ...). Holds the builds that came
                                 of it, and every file that they depended on, with its hash

A record serves again while each of those files is what it was. A folder is complete or not there: it is renamed into
place, and never changed afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.builds.build import Build, from_json
from isobench.planning.models import Model
from isobench.system import files
from isobench.workers import protocol

SCHEMA = "isobench.index/1"
LARGE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """A file that a build depended on, as it was then."""

    path: str
    sha256: str
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path | str, sha256: str = "") -> Dependency:
        """Describe `path` as it is now; `sha256` where it's known already."""
        found = os.stat(path)  # noqa: PTH116
        return cls(
            path=str(path), sha256=sha256 or files.sha256(path), size_bytes=found.st_size, mtime_ns=found.st_mtime_ns
        )

    def unchanged(self) -> bool:
        """Is the file what it was? Large ones are taken at their size and time, as git does; others are read."""
        try:
            found = os.stat(self.path)  # noqa: PTH116
            if found.st_size != self.size_bytes:
                return False
            if self.size_bytes > LARGE_BYTES and found.st_mtime_ns == self.mtime_ns:
                return True
            return files.sha256(self.path) == self.sha256
        except OSError:
            return False


def key(asked: Mapping[str, Any]) -> str:
    """The index key of what was asked for: any JSON value in it counts."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


def look_up(index_key: str, model: Model) -> list[Build] | None:
    """The builds that an earlier run made, if everything that they depended on is unchanged."""
    try:
        record = protocol.read_json(_record(index_key), SCHEMA)
    except (FileNotFoundError, protocol.ProtocolError):
        return None
    if not all(Dependency(**entry).unchanged() for entry in record["dependencies"]):
        return None
    try:
        builds = [from_json(entry, folder=paths.builds() / entry["id"], model=model) for entry in record["builds"]]
    except (KeyError, TypeError):  # written by another version
        return None
    return builds if all(build.inputs_file.exists() for build in builds) else None


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


def store(folder: Path, identity: str) -> Path:
    """Move a finished folder into the cache under its content's hash; where it is there already, that one stays."""
    target = paths.builds() / identity
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        import shutil

        shutil.rmtree(folder)
    return target


def _record(index_key: str) -> Path:
    return paths.builds() / "index" / f"{index_key}.json"
