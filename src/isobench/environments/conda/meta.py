"""Conda's records of a prefix: a JSON file for each package in `conda-meta`, with the SHA-256 of its files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from isobench.record import record
from isobench.system import files

FOLDER = "conda-meta"
# Documentation and data, which nothing loads; conda's own records, which are compared one by one.
_NOT_WATCHED = ("include", "share", "man", "pkgs", "envs", FOLDER)


@record(frozen=True, kw_only=True)
class CondaPackage:
    """One package of a prefix; `file` is its record."""

    name: str
    version: str
    build: str
    file: Path

    @cached_property
    def content(self) -> dict[str, Any]:
        """The record; {} where it can't be read."""
        from isobench.system import reading

        try:
            content = reading.read_json(self.file)
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    @cached_property
    def record_sha256(self) -> str:
        """The SHA-256 of the record itself."""
        return files.sha256(self.file)

    def files(self) -> Iterator[tuple[str, str]]:
        """Path in the prefix and SHA-256 of every file; for a link that of its target's path, "" if unknown."""
        for path in self.content.get("paths_data", {}).get("paths", ()):
            of_link = path.get("path_type") == "softlink"
            yield path["_path"], path.get("sha256_in_prefix") or ("" if of_link else path.get("sha256") or "")

    def __str__(self) -> str:
        return f"{self.name} {self.version} {self.build}"


def packages(prefix: Path) -> dict[str, CondaPackage]:
    """Every conda package of a prefix by name; {} if it isn't conda's."""
    found = {}
    for file in sorted((prefix / FOLDER).glob("*-*-*.json")):
        name, version, build = file.stem.rsplit("-", 2)
        found[name] = CondaPackage(name=name, version=version, build=build, file=file)
    return found


def is_prefix(folder: Path) -> bool:
    """Whether conda packages are installed in a folder."""
    return (folder / FOLDER).is_dir()


def watched_folders(prefix: Path) -> dict[str, Path]:
    """The folders of a prefix whose files count, by the name that they have in the manifest; {} if it isn't conda's."""
    if not is_prefix(prefix):
        return {}
    folders = [folder for folder in sorted(prefix.iterdir()) if folder.is_dir()]
    return {f"./{folder.name}": folder for folder in folders if folder.name not in _NOT_WATCHED}


def owned(found: dict[str, CondaPackage]) -> set[str]:
    """The paths, in their prefix, of all files of these packages."""
    return {path for package in found.values() for path, _ in package.files()}


def modified(prefix: Path, found: dict[str, CondaPackage]) -> list[str]:
    """Every file that differs from its record, a line each."""
    from concurrent.futures import ThreadPoolExecutor

    def look(entry: tuple[str, CondaPackage, str]) -> str:
        path, package, digest = entry
        actual = _sha256(f"{prefix}/{path}")
        if actual is None:
            return "" if path.endswith(".pyc") else f"{package}: {path} is missing"
        return f"{package}: {path} was changed" if digest and actual != digest else ""

    entries = [(path, package, digest) for package in found.values() for path, digest in package.files()]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return [line for line in pool.map(look, entries, chunksize=64) if line]


def _sha256(path: str) -> str | None:
    """The SHA-256 of a file's content, or of a link's target; None if there is no such file."""
    try:
        return hashlib.sha256(os.readlink(path).encode()).hexdigest()  # noqa: PTH115 - a string is wanted
    except OSError:
        pass
    try:
        return files.sha256(path)
    except (OSError, ValueError):
        return None
