"""The Builds that are kept: which there are, what they take of the disk, and how to be rid of them."""

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
class Kept:
    """One Build on disk. `made_s` is when, in seconds since 1970; `name` is "?" where its record can't be read."""

    id: str
    folder: Path
    name: str
    class_name: str
    hash: str
    has_onnx: bool
    size_bytes: int
    made_s: float


def every() -> list[Kept]:
    """Every Build in the cache, the oldest first."""
    folders = [file.parent for file in paths.builds().glob(f"*/{build.BUILD_FILE}")]
    return sorted(map(_described, folders), key=lambda one: (one.made_s, one.id))


def find(name: str) -> Kept:
    """The Build of an id, or of the beginning of one that is like no other.

    Raises:
        UsageError: there is none, or there are several.
    """
    found = by_prefix(name, every(), lambda one: one.id)
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(one.id for one in found)
        raise UsageError(f"{name} is the beginning of several builds: {several}", hint="Give more of it.")
    raise UsageError(f"there is no build {name!r} in {paths.builds()}", hint="See them all: isobench cache list")


def remove(one: Kept) -> None:
    """Remove a Build and what the index says of it. Results that were measured with it stay.

    Raises:
        UsageError: it can't be removed.
    """
    for record in (paths.builds() / "index").glob("*.json"):
        if one.id in record.read_text(encoding="utf-8", errors="replace"):
            record.unlink(missing_ok=True)
    leaving = one.folder.with_name(f"{one.id}.{os.getpid()}.removed")
    try:
        # Renamed first, so that nobody ever takes half of it for a build.
        one.folder.rename(leaving)
        shutil.rmtree(leaving)
    except OSError as error:
        raise UsageError(f"{one.folder} can't be removed: {error.strerror}", hint="Look at its owner.") from None


def _described(folder: Path) -> Kept:
    sizes = [entry.stat().st_size for entry in folder.rglob("*") if entry.is_file()]
    try:
        told = protocol.read_json(folder / build.BUILD_FILE, build.SCHEMA)
    except ValueError:
        told = {}
    return Kept(
        id=folder.name,
        folder=folder,
        name=str(told.get("name", "?")),
        class_name=str(told.get("class_name", "")),
        hash=str(told.get("hash", "")),
        has_onnx=bool(told.get("onnx")),
        size_bytes=sum(sizes),
        made_s=(folder / build.BUILD_FILE).stat().st_mtime,
    )
