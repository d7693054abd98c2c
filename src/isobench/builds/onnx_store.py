"""The user's own ONNX files as builds refer to them: each is stored once, however many builds use it.

    builds/onnx/CONTENT/         model.onnx, and its external data by the names that it has for them
                                 sizes-HASH.onnx: the same graph with sizes written into it

CONTENT is the SHA-256 over all of it (its first 16 digits). Another seed or other sizes need no other copy of the
weights. A folder is complete or missing: it is renamed into place, and its files are never changed
afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from isobench import paths
from isobench.builds import evidence, onnx_file
from isobench.builds.build import ONNX_FILE
from isobench.builds.external_data import ExternalFile
from isobench.builds.onnx_file import OnnxFile
from isobench.builds.sizes import Fixed
from isobench.errors import ModelError
from isobench.planning.models import TensorSpec
from isobench.record import record
from isobench.system import files, leftovers


def folder() -> Path:
    """The folder of all stored files."""
    return paths.builds() / "onnx"


@record(frozen=True, slots=True, kw_only=True)
class StoredOnnx:
    """A stored file, its SHA-256 with its external data, and the sizes that are fixed in it or by their names.

    `files` are the file itself and its external data. Before `place`, they may be outside of `folder`.
    """

    file: Path
    folder: Path
    files: tuple[Path, ...]
    sha256: str
    fixed: Fixed


def copy(found: OnnxFile, content: str, fixed: Fixed, specs: Iterable[TensorSpec], made: Path) -> StoredOnnx:
    """Copy a file whose SHA-256 with its external data is `content` into the new folder `made`, unless it is stored.

    It gets the sizes of `specs`. Once its build has succeeded, `place` stores it.

    Raises:
        ModelError: it changed while it was copied.
    """
    file, sha256 = _copied(found, content, made), content
    if fixed.written:
        written = {spec.name: spec for spec in specs if spec.name in fixed.written}
        file, sha256 = _with_sizes(found, file, written)
    external = [one.path for one in _beside(file.parent, found)]
    target = folder() / content[:16]
    return StoredOnnx(file=file, folder=target, files=(file, *external), sha256=sha256, fixed=fixed)


def place(stored: StoredOnnx) -> StoredOnnx:
    """Move a copied file and its external data into the store."""
    made, target = stored.file.parent, stored.folder
    if made == target:
        return stored
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        made.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        # Another process has stored the same meanwhile, perhaps with other sizes.
        stored.file.replace(target / stored.file.name)
    files.sync(target.parent)
    placed = tuple(target / one.relative_to(made) for one in stored.files)
    return replace(stored, file=placed[0], files=placed)


def _copied(found: OnnxFile, content: str, made: Path) -> Path:
    target = folder() / content[:16]
    stored = target / _free(ONNX_FILE, found)
    if target.exists() or target.is_symlink():
        if _is_whole(stored, found, content):
            return stored
        leftovers.discard(target)
    made.mkdir(parents=True)
    copied = made / stored.name
    onnx_file.copy(found, copied)
    for file in made.rglob("*"):
        if file.is_file():
            file.chmod(0o444)
            files.sync(file)
    if not _is_whole(copied, found, content):
        raise ModelError(f"{found.path} changed while it was copied", hint="Repeat the command.")
    return copied


def _is_whole(stored: Path, found: OnnxFile, content: str) -> bool:
    try:
        return onnx_file.content_hash(stored, _beside(stored.parent, found), evidence.sha256) == content
    except OSError:
        return False


def _with_sizes(found: OnnxFile, stored: Path, inputs: Mapping[str, TensorSpec]) -> tuple[Path, str]:
    data = onnx_file.with_sizes(found, inputs)
    file = stored.with_name(_free(f"sizes-{hashlib.sha256(data).hexdigest()[:12]}.onnx", found))
    if not _holds(file, data):
        if file.is_dir() and not file.is_symlink():
            leftovers.discard(file)
        files.write_atomically(file, data, durable=True)
    return file, onnx_file.content_hash(file, _beside(stored.parent, found), evidence.sha256)


def _holds(file: Path, data: bytes) -> bool:
    try:
        return evidence.sha256(file) == hashlib.sha256(data).hexdigest()
    except OSError:
        return False


def _beside(where: Path, found: OnnxFile) -> list[ExternalFile]:
    """The external data as it is stored."""
    return [ExternalFile(location=one.location, path=where / one.location) for one in found.external]


def _free(name: str, found: OnnxFile) -> str:
    """The name, or the first one like it that no file or folder of the external data has."""
    taken = {PurePosixPath(one.location).parts[0] for one in found.external}
    while name in taken:
        name = f"_{name}"
    return name
