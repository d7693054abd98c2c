"""What is installed in an environment, read from its files: no interpreter is started.

Every installed package has a `NAME-VERSION.dist-info` folder whose RECORD lists its files with their hashes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from isobench.environments.specs import normalised
from isobench.record import record
from isobench.system import files, reading

if TYPE_CHECKING:
    from isobench.environments.manifest import Interpreter

# Python writes bytecode again as needed. Headers are many, half of all files with torch, and only `verify` reads them.
_CACHE = "__pycache__"
_NOT_LOADED = (_CACHE, "include")


@record(frozen=True, kw_only=True)
class Package:
    """One installed package; `name` is normalised."""

    name: str
    version: str
    dist_info: Path

    @cached_property
    def record(self) -> bytes:
        """Its RECORD, b"" if it has none."""
        try:
            return reading.read_bytes(self.dist_info / "RECORD")
        except FileNotFoundError:
            return b""

    @cached_property
    def record_sha256(self) -> str:
        import hashlib

        return hashlib.sha256(self.record).hexdigest()

    def files(self) -> Iterator[tuple[str, str]]:
        """Absolute path and SHA-256 (URL-safe base64 without padding; "" if RECORD has none) of every file."""
        import csv
        import io

        base = str(self.dist_info.parent)
        for row in csv.reader(io.StringIO(self.record.decode(errors="surrogateescape"), newline="")):
            if row:
                digest = row[1].removeprefix("sha256=") if len(row) > 1 and row[1].startswith("sha256=") else ""
                yield os.path.normpath(f"{base}/{row[0]}"), digest

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def packages(site_packages: Path) -> dict[str, Package]:
    """Every installed package by name; {} if the folder is missing."""
    found = {}
    for folder in sorted(site_packages.glob("*.dist-info")):
        name, _, version = folder.name.removesuffix(".dist-info").rpartition("-")
        found[normalised(name)] = Package(name=normalised(name), version=version, dist_info=folder)
    return found


def modified(package: Package) -> list[str]:
    """How a package differs from its RECORD, a line each: "numpy/version.py was changed"."""
    base = str(package.dist_info.parent)
    lines = []
    for path, digest in package.files():
        actual = _sha256(path)
        if actual is None and not path.endswith(".pyc"):
            lines.append(f"{os.path.relpath(path, base)} is missing")
        elif actual is not None and digest and actual != digest:
            lines.append(f"{os.path.relpath(path, base)} was changed")
    return lines


def all_modified(found: dict[str, Package]) -> dict[str, list[str]]:
    """`modified` for every package where it isn't empty; the hashing is shared among the CPUs."""
    from concurrent.futures import ThreadPoolExecutor

    # The largest first: one package (torch) may be half of the work.
    order = sorted(found.values(), key=lambda package: len(package.record), reverse=True)
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        lines = pool.map(modified, order)
        return {package.name: found_lines for package, found_lines in zip(order, lines, strict=True) if found_lines}


def _sha256(path: str) -> str | None:
    """The file's SHA-256 as RECORD writes it; None if the file is missing or can't be read."""
    import base64

    try:
        digest = bytes.fromhex(files.sha256(path))
    except (OSError, ValueError):  # ValueError: a damaged RECORD may list something that can't be a path
        return None
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def unowned(prefix: Path, tops: Iterable[Path], owned: AbstractSet[str]) -> dict[str, str]:
    """The files in the folders that aren't in `owned`, without bytecode: path in the prefix, content.

    The content is the file's SHA-256 as RECORD writes it; of a link it is the target, also if that is a folder.
    """
    there = []
    for top in tops:
        for parent, folders, names in os.walk(top):
            if _CACHE in folders:
                folders.remove(_CACHE)
            links = [name for name in folders if os.path.islink(f"{parent}/{name}")]  # noqa: PTH114 - many
            there += [f"{parent}/{name}" for name in (*names, *links) if f"{parent}/{name}" not in owned]
    return {os.path.relpath(path, prefix): _content(path) for path in sorted(there)}


def owned(found: Iterable[Package]) -> set[str]:
    """The absolute paths of all files of these packages."""
    packages = list(found)
    paths = {path for package in packages for path, _ in package.files()}
    return paths | {f"{package.dist_info}/RECORD" for package in packages}


def _content(path: str) -> str:
    try:
        return f"-> {os.readlink(path)}"  # noqa: PTH115 - a string is wanted
    except OSError:
        return _sha256(path) or ""


def fingerprints(tops: Mapping[str, Path], site_packages: Path) -> dict[str, str]:
    """A digest of name, size and modification time of what can be loaded, for each folder and entry of site-packages.

    It is quick (torch: 8,000 files in 40 ms), so it shows where to look, not what is wrong.
    """
    skipped = str(site_packages)
    prints = {name: _fingerprint(str(top), skipped) for name, top in tops.items()}
    try:
        with os.scandir(site_packages) as entries:
            for entry in entries:
                if entry.name in _NOT_LOADED:
                    continue
                is_folder = entry.is_dir(follow_symlinks=False)
                prints[entry.name] = _fingerprint(entry.path) if is_folder else _stamp(entry)
    except FileNotFoundError:
        pass
    return prints


def _fingerprint(folder: str, skipped: str = "") -> str:
    import hashlib

    lines: list[str] = []
    _walk(folder, lines, skipped)
    return hashlib.sha256("\n".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()[:16]


def _walk(folder: str, lines: list[str], skipped: str) -> None:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _NOT_LOADED and entry.path != skipped:
                        _walk(entry.path, lines, skipped)
                else:
                    lines.append(f"{entry.path[len(folder) :]} {_stamp(entry)}")
    except FileNotFoundError:
        lines.append(f"{folder} is missing")


def _stamp(entry: os.DirEntry[str]) -> str:
    status = entry.stat(follow_symlinks=False)
    return f"{status.st_size} {status.st_mtime_ns}"


def interpreter(python: Path) -> Interpreter | None:
    """The file that is run as `python`, its links resolved; None if it is missing."""
    from isobench.environments.manifest import Interpreter

    try:
        path = python.resolve(strict=True)
        status = path.stat()
    except OSError:
        return None
    return Interpreter(path=str(path), size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)


def pyvenv_settings(prefix: Path) -> dict[str, str]:
    """The settings in `pyvenv.cfg`; {} if it is missing."""
    try:
        lines = reading.read_text(prefix / "pyvenv.cfg", errors="replace").splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
