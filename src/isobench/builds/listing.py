"""The Builds in the cache: list them, find one, see its size, remove it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from isobench import paths
from isobench.builds import build
from isobench.errors import UsageError
from isobench.system.names import by_prefix
from isobench.workers import protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedBuild:
    """One Build on disk, made `made_s` seconds after 1970; `name` is "?" where its description can't be read."""

    id: str
    folder: Path
    name: str
    class_name: str
    hash: str
    has_onnx: bool
    size_bytes: int
    made_s: float


def list_builds() -> list[CachedBuild]:
    """Every Build in the cache, the oldest first."""
    folders = [file.parent for file in paths.builds().glob(f"*/{build.BUILD_FILE}")]
    return sorted(map(_described, folders), key=lambda one: (one.made_s, one.id))


def find_build(name: str) -> CachedBuild:
    """The Build of an id, or of an unambiguous beginning of one.

    Raises:
        UsageError: none or several match.
    """
    found = by_prefix(name, list_builds(), lambda one: one.id)
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(one.id for one in found)
        raise UsageError(f"{name} matches {len(found)} builds: {several}", hint="Give more of the id.")
    raise UsageError(f"no build {name!r} in {paths.builds()}", hint="List all builds: isobench cache list")


def remove_build(one: CachedBuild) -> None:
    """Remove a Build and its index records. Results that were measured with it stay.

    Raises:
        UsageError: it can't be removed.
    """
    for record in (paths.builds() / "index").glob("*.json"):
        if one.id in record.read_text(encoding="utf-8", errors="replace"):
            record.unlink(missing_ok=True)
    leaving = one.folder.with_name(f"{one.id}.{os.getpid()}.removed")
    try:
        # Renamed first, so that nobody takes half of it for a build.
        one.folder.rename(leaving)
        shutil.rmtree(leaving)
    except OSError as error:
        raise UsageError(
            f"{one.folder} can't be removed: {error.strerror}", hint=f"Check its owner: ls -ld {one.folder}"
        ) from None


def _described(folder: Path) -> CachedBuild:
    sizes = [entry.stat().st_size for entry in folder.rglob("*") if entry.is_file()]
    try:
        description = protocol.read_json(folder / build.BUILD_FILE, build.SCHEMA)
    except ValueError:
        description = {}
    return CachedBuild(
        id=folder.name,
        folder=folder,
        name=str(description.get("name", "?")),
        class_name=str(description.get("class_name", "")),
        hash=str(description.get("hash", "")),
        has_onnx=bool(description.get("onnx")),
        size_bytes=sum(sizes),
        made_s=(folder / build.BUILD_FILE).stat().st_mtime,
    )
