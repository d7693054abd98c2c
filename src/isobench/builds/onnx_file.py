"""What the host does with an ONNX file: checks it, reads its signature, hashes and copies it.

`onnx` is imported by the functions that need it: it takes a fifth of a second.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from isobench.errors import ModelError
from isobench.planning.models import TensorSpec
from isobench.system import files
from isobench.workers import protocol

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFile:
    """A valid ONNX file. Sizes that aren't fixed are None in `inputs`; `symbols` has their names, input by input.

    `model` is what the file holds, without its external data.
    """

    path: Path
    inputs: tuple[TensorSpec, ...]
    symbols: Mapping[str, tuple[str, ...]]
    outputs: tuple[TensorSpec, ...]
    opset: int
    parameters: int
    external_files: tuple[Path, ...]
    model: onnx.ModelProto = field(repr=False, compare=False)


def read(path: Path) -> OnnxFile:
    """Check the file and read its signature; its weights are not loaded.

    Raises:
        ModelError: it can't be read, isn't valid ONNX, lacks its external data, or has inputs of unknown types.
    """
    model, external = _checked(path)
    graph = model.graph
    weights = {initializer.name: tuple(initializer.dims) for initializer in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    return OnnxFile(
        path=path,
        inputs=tuple(_spec(value, path) for value in inputs),
        symbols={value.name: _symbols(value) for value in inputs},
        outputs=tuple(_spec(value, path) for value in graph.output),
        opset=max((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), default=0),
        parameters=sum(_product(shape) for shape in weights.values()),
        external_files=external,
        model=model,
    )


def check_exported(path: Path) -> str:
    """Check a file that an exporter wrote, and return the SHA-256 of it with its external data.

    Raises:
        ModelError: it isn't valid ONNX.
    """
    _, external = _checked(path)
    return content_hash(path, external)


def content_hash(path: Path, external_files: Sequence[Path]) -> str:
    """The SHA-256 of a file with its external data, by name; without external data, the file's own SHA-256."""
    own = files.sha256(path)
    if not external_files:
        return own
    together = hashlib.sha256(bytes.fromhex(own))
    for other in sorted(external_files):
        together.update(other.name.encode() + b"\0" + bytes.fromhex(files.sha256(other)))
    return together.hexdigest()


def copy(found: OnnxFile, target: Path) -> None:
    """Copy the file to `target`, and its external data beside it, by the names that the file uses for them."""
    shutil.copyfile(found.path, target)
    for file in found.external_files:
        beside = target.parent / file.relative_to(found.path.parent.resolve())
        beside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, beside)


def _checked(path: Path) -> tuple[onnx.ModelProto, tuple[Path, ...]]:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from None
    except (DecodeError, ValueError) as error:
        raise ModelError(f"{path} isn't an ONNX file: {error}") from None
    if not model.graph.output:
        raise ModelError(f"{path} isn't an ONNX file: it has no graph with outputs")
    external = tuple(sorted({_external(path, name) for name in _external_names(model.graph)}))
    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{path} isn't valid ONNX: {str(error).strip().splitlines()[0]}", details=str(error)) from None
    return model, external


def _external_names(graph: onnx.GraphProto) -> Iterator[str]:
    """The names of the files that hold the graph's large tensors, those of its subgraphs included."""
    tensors = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            tensors += [attribute.t] if attribute.HasField("t") else []
            tensors += attribute.tensors
            for subgraph in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _external_names(subgraph)
    for tensor in tensors:
        if tensor.data_location == tensor.EXTERNAL:
            yield next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def _external(path: Path, name: str) -> Path:
    folder = path.parent.resolve()
    file = (folder / name).resolve()
    if not name or not file.is_relative_to(folder):
        raise ModelError(f"{path} has weights in {name!r}, outside of its own folder, which isn't allowed")
    if not file.is_file():
        raise ModelError(
            f"{path} has weights in {name}, which is missing", hint=f"Copy {name} to the folder of the .onnx file."
        )
    return file


def _spec(value: onnx.ValueInfoProto, path: Path) -> TensorSpec:
    kind = value.type
    while kind.WhichOneof("value") == "optional_type":
        kind = kind.optional_type.elem_type
    shape = [
        entry.dim_value if entry.HasField("dim_value") and entry.dim_value > 0 else None
        for entry in kind.tensor_type.shape.dim
    ]
    return TensorSpec(name=value.name, dtype=_type_name(value.type, value.name, path), shape=tuple(shape))


def _type_name(kind: onnx.TypeProto, name: str, path: Path) -> str:
    """The name of a type: of a tensor's elements, or such as `sequence(float32)` or `map(int64, float32)`."""
    which = kind.WhichOneof("value")
    if which == "tensor_type":
        return _dtype(kind.tensor_type.elem_type, name, path)
    if which == "sequence_type":
        return f"sequence({_type_name(kind.sequence_type.elem_type, name, path)})"
    if which == "optional_type":
        return f"optional({_type_name(kind.optional_type.elem_type, name, path)})"
    if which == "map_type":
        key = _dtype(kind.map_type.key_type, name, path)
        return f"map({key}, {_type_name(kind.map_type.value_type, name, path)})"
    raise ModelError(f"{path}: {name} has the type {which or 'undefined'}, which isn't supported")


def _dtype(number: int, name: str, path: Path) -> str:
    import numpy as np
    import onnx

    if number == onnx.TensorProto.STRING:
        return protocol.STRING
    known = number in onnx.TensorProto.DataType.values() and number != onnx.TensorProto.UNDEFINED
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(number)).name if known else str(number)
    if dtype not in protocol.DTYPES:
        raise ModelError(f"{path}: {name} has the element type {dtype}, which isn't supported")
    return dtype


def _symbols(value: onnx.ValueInfoProto) -> tuple[str, ...]:
    return tuple(entry.dim_param for entry in value.type.tensor_type.shape.dim)


def _product(sizes: Sequence[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product
