"""The files that hold an ONNX file's large tensors: which they are, and whether they may be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from isobench import paths
from isobench.errors import ModelError
from isobench.record import record
from isobench.system.file_kinds import recognize

if TYPE_CHECKING:
    import onnx

CACHES = ("blobs", ".git/annex/objects", ".dvc/cache")
"""Folders into which the links of a downloaded model lead: of Hugging Face's cache, git-annex and DVC."""

_MOST_DIGITS = 19  # of a number of 64 bits


@record(frozen=True, slots=True, kw_only=True)
class ExternalFile:
    """A file with weights: `location` is its name in the ONNX file, relative to that; `path` may be a link."""

    location: str
    path: Path


def external_files(path: Path, model: onnx.ModelProto) -> tuple[ExternalFile, ...]:
    """The files that the model at `path` has weights in, by their names.

    A name leads to a file in the model's folder. It may be a link to one beside the real model file, or in a cache of
    an enclosing folder, as Hugging Face's snapshots are.

    Raises:
        ModelError: one is missing or too short, or lies outside of these folders.
    """
    needed: dict[str, int] = {}
    for tensor in tensors(model):
        if tensor.data_location == tensor.EXTERNAL:
            location = _location(tensor, path)
            needed[location] = max(needed.get(location, 0), _end(tensor, path))
    found = tuple(ExternalFile(location=location, path=_resolved(path, location)) for location in sorted(needed))
    for file in found:
        _refuse_incomplete(path, file, needed[file.location])
    return found


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of the model: those of nodes, subgraphs and functions included."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)
    for training in model.training_info:
        yield from _of_graph(training.initialization)
        yield from _of_graph(training.algorithm)


def _of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from _of_sparse(graph.sparse_initializer)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from [attribute.t] if attribute.HasField("t") else []
            yield from attribute.tensors
            yield from _of_sparse([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else [])
            yield from _of_sparse(attribute.sparse_tensors)
            for subgraph in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _of_graph(subgraph)


def _of_sparse(sparse: Iterable[onnx.SparseTensorProto]) -> Iterator[onnx.TensorProto]:
    for tensor in sparse:
        yield tensor.values
        yield tensor.indices


def _location(tensor: onnx.TensorProto, path: Path) -> str:
    location: str | bytes = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    if isinstance(location, bytes):  # as protobuf has text that isn't UTF-8
        raise ModelError(f"{path} has weights in {location[:200]!r}, a name that isn't UTF-8")
    return location


def _end(tensor: onnx.TensorProto, path: Path) -> int:
    """Where the tensor ends in its file, in bytes; 0 if its length isn't given."""
    given = {entry.key: entry.value for entry in tensor.external_data}
    offset, length = (_number(given.get(key) or "0", key, path) for key in ("offset", "length"))
    return offset + length if length else 0


def _number(text: str | bytes, key: str, path: Path) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise ModelError(f"{path} has weights in another file, but their {key} there isn't a number: {text[:50]!r}")
    return int(text)


def _refuse_incomplete(path: Path, file: ExternalFile, needed: int) -> None:
    """Raises:
    ModelError: the file is shorter than its tensors; it may be a pointer of git-lfs, or a part of a download.
    """
    size = file.path.stat().st_size
    if size >= needed:
        return
    kind = recognize(file.path)
    what = f"which is {kind.what}" if kind else f"which has {size:,} bytes, but {needed:,} are needed"
    raise ModelError(
        f"{path} has weights in {file.location!r}, {what}",
        hint=kind.hint if kind and kind.hint else "Copy or download it again.",
    )


def _resolved(path: Path, location: str) -> Path:
    shown = repr(location if len(location) <= 200 else f"{location[:200]}...")
    parts = PurePosixPath(location).parts
    if not parts or ".." in parts or PurePosixPath(location).is_absolute() or PureWindowsPath(location).is_absolute():
        raise ModelError(f"{path} has weights in {shown}, outside of its own folder, which isn't allowed")
    try:
        # The model may be a link, with its weights beside the file that it leads to.
        beside = [folder / location for folder in dict.fromkeys((path.parent, paths.real(path).parent))]
        found = next((file for file in beside if file.exists()), None)
        target = paths.real(found) if found else None
    except (OSError, ValueError) as error:  # a name that is too long, or with a NUL
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelError(f"{path} has weights in {shown}, which can't be read: {reason}") from None
    if found is None or target is None:
        raise ModelError(
            f"{path} has weights in {shown}, which is missing", hint="Copy it to the folder of the .onnx file."
        )
    if not target.is_file():
        raise ModelError(f"{path} has weights in {shown}, which isn't a file")
    if not any(target.is_relative_to(folder) for folder in _allowed(path)):
        raise ModelError(
            f"{path} has weights in {shown}, a link to {target}, outside of its own folder, which isn't allowed",
            hint="Copy that file to the folder of the .onnx file.",
        )
    return found


def _allowed(path: Path) -> Iterator[Path]:
    folder = paths.real(path.parent)
    yield folder
    yield paths.real(path).parent
    for above in folder.parents:
        for cache in CACHES:
            yield paths.real(above / cache)
