"""The user's own ONNX files as builds refer to them: each is stored once, however many builds use it.

    builds/onnx/CONTENT/         model.onnx, and its external data by the names that it has for them
                                 sizes-HASH.onnx: the same graph with sizes written into it

CONTENT is the SHA-256 over all of it (its first 16 digits). Another seed or other sizes need no other copy of the
weights. A folder is complete or missing: it is renamed into place, and its files are never changed
afterwards.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from isobench import paths
from isobench.builds import onnx_file
from isobench.builds.build import ONNX_FILE
from isobench.builds.external_data import ExternalFile
from isobench.builds.onnx_file import OnnxFile
from isobench.builds.sizes import Fixed
from isobench.errors import ModelError
from isobench.planning.models import TensorSpec
from isobench.record import record
from isobench.system import files


def folder() -> Path:
    """The folder of all stored files."""
    return paths.builds() / "onnx"


@record(frozen=True, slots=True, kw_only=True)
class StoredOnnx:
    """A stored file, its SHA-256 with its external data, and the sizes that are fixed in it or by their names."""

    file: Path
    sha256: str
    fixed: Fixed


def keep(found: OnnxFile, content: str, fixed: Fixed, specs: Iterable[TensorSpec]) -> StoredOnnx:
    """Store a file whose SHA-256 with its external data is `content`, unless it is there, with the sizes of `specs`.

    Raises:
        ModelError: it changed while it was copied.
    """
    file, sha256 = _copied(found, content), content
    if fixed.written:
        written = {spec.name: spec for spec in specs if spec.name in fixed.written}
        file, sha256 = _with_sizes(found, file, written)
    return StoredOnnx(file=file, sha256=sha256, fixed=fixed)


def _copied(found: OnnxFile, content: str) -> Path:
    target = folder() / content[:16]
    stored = target / _free(ONNX_FILE, found)
    if stored.is_file():
        return stored
    made = target.with_name(f"{target.name}.{os.urandom(4).hex()}.tmp")
    made.mkdir(parents=True)
    try:
        onnx_file.copy(found, made / stored.name)
        if onnx_file.content_hash(made / stored.name, _beside(made, found)) != content:
            raise ModelError(f"{found.path} changed while it was copied", hint="Repeat the command.")
        _into_place(made, target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return stored


def _with_sizes(found: OnnxFile, stored: Path, inputs: Mapping[str, TensorSpec]) -> tuple[Path, str]:
    data = onnx_file.with_sizes(found, inputs)
    file = stored.with_name(_free(f"sizes-{hashlib.sha256(data).hexdigest()[:12]}.onnx", found))
    if not file.is_file():
        files.write_atomically(file, data)
    return file, onnx_file.content_hash(file, _beside(stored.parent, found))


def _beside(where: Path, found: OnnxFile) -> list[ExternalFile]:
    """The external data as it is stored."""
    return [ExternalFile(location=one.location, path=where / one.location) for one in found.external]


def _free(name: str, found: OnnxFile) -> str:
    """The name, or the first one like it that no file or folder of the external data has."""
    taken = {PurePosixPath(one.location).parts[0] for one in found.external}
    while name in taken:
        name = f"_{name}"
    return name


def _into_place(made: Path, target: Path) -> None:
    for file in made.rglob("*"):
        if file.is_file():
            file.chmod(0o444)
    try:
        made.rename(target)
    except OSError:
        if not target.is_dir():  # otherwise, another process has stored the same
            raise
