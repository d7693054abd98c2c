"""The Builds in the cache: list them, find one, see its size, remove it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.builds import build, cache, onnx_store
from isobench.errors import ResultError, UsageError
from isobench.record import record
from isobench.system import leftovers
from isobench.system.names import by_prefix
from isobench.workers import protocol


@record(frozen=True, slots=True, kw_only=True)
class CachedBuild:
    """One Build on disk, made `made_s` seconds after 1970; `name` is "?" where its description can't be read.

    `onnx_folder` holds its ONNX file where that isn't in its own folder; other Builds may use the same.
    """

    id: str
    folder: Path
    onnx_folder: Path | None
    name: str
    class_name: str
    hash: str
    has_onnx: bool
    size_bytes: int
    made_s: float


def list_builds() -> list[CachedBuild]:
    """Every Build in the cache, the oldest first."""
    found = []
    for file in paths.builds().glob(f"*/{build.BUILD_FILE}"):
        with suppress(OSError):  # another process has just removed it
            found.append(_described(file.parent))
    return sorted(found, key=lambda one: (one.made_s, one.id))


def total_bytes(found: Iterable[CachedBuild]) -> int:
    """The size of several Builds on disk, a file that they share counted once."""
    folders = {folder for one in found for folder in (one.folder, one.onnx_folder) if folder}
    return sum(map(leftovers.size_bytes, folders))


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
    cache.forget(one.id)
    try:
        leftovers.discard(one.folder)
        if one.onnx_folder and not _is_used(one.onnx_folder) and not cache.builder():
            leftovers.discard(one.onnx_folder)
    except OSError as error:
        raise UsageError(
            f"{one.folder} can't be removed: {error.strerror}",
            hint=f"Check its owner: ls -ld {shlex.quote(str(one.folder))}",
        ) from None


def remove_unused() -> str:
    """Remove stored ONNX files that no Build uses: of models that couldn't be built, and of interrupted copies.

    While somebody builds they may be about to be used, and stay; returns who it is, in words, "" if nobody does.
    """
    if builder := cache.builder():
        return builder.in_words
    for folder in unused():
        with suppress(OSError):
            leftovers.discard(folder)
    return ""


def description(one: CachedBuild) -> dict[str, Any]:
    """What a Build's file says of it.

    Raises:
        ResultError: the file can't be read, or is corrupted.
    """
    file = one.folder / build.BUILD_FILE
    try:
        return protocol.read_json(file, build.SCHEMA)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ResultError(f"{file} can't be read: {why}", hint=f"isobench cache remove {one.id}") from None


def unused() -> list[Path]:
    """The folders of stored ONNX files that no Build uses; one that is being built may be about to."""
    return [folder for folder in sorted(onnx_store.folder().glob("*")) if not _is_used(folder)]


def _described(folder: Path) -> CachedBuild:
    try:
        description = protocol.read_json(folder / build.BUILD_FILE, build.SCHEMA)
    except (OSError, ValueError):
        description = {}
    onnx_folder = _onnx_folder(folder, description)
    return CachedBuild(
        id=folder.name,
        folder=folder,
        onnx_folder=onnx_folder,
        name=_text(description, "name") or "?",
        class_name=_text(description, "class_name"),
        hash=_text(description, "hash"),
        has_onnx=bool(description.get("onnx")),
        size_bytes=leftovers.size_bytes(folder) + (leftovers.size_bytes(onnx_folder) if onnx_folder else 0),
        made_s=(folder / build.BUILD_FILE).lstat().st_mtime,
    )


def _text(description: Mapping[str, Any], name: str) -> str:
    value = description.get(name)
    return value if isinstance(value, str) else ""


def _onnx_folder(folder: Path, description: Mapping[str, Any]) -> Path | None:
    """The folder below that of all stored files in which the Build has its ONNX file, if it is there."""
    onnx = description.get("onnx")
    file = onnx.get("file") if isinstance(onnx, dict) else None
    if not isinstance(file, str):
        return None
    found = Path(os.path.normpath(folder / file)).parent
    return found if found.parent == onnx_store.folder() else None


def _is_used(onnx_folder: Path) -> bool:
    """Does a Build have its ONNX file in this folder?"""
    name = f"/{onnx_folder.name}/"
    return any(cache.mentions(file, name) for file in paths.builds().glob(f"*/{build.BUILD_FILE}"))
