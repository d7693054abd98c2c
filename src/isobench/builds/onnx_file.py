"""What the host does with an ONNX file: checks it, reads its signature, fixes its sizes, draws inputs for it.

`onnx` is imported by the functions that need it: it takes a fifth of a second.
"""

from __future__ import annotations

import hashlib
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isobench.errors import ModelError, UsageError
from isobench.planning.models import TensorSpec
from isobench.system import files
from isobench.workers import protocol

if TYPE_CHECKING:
    import onnx

# Nodes that pass the values of indices on unchanged.
TRANSPARENT = {"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Slice", "Concat"}
INDEXING = {"Gather": 0, "GatherElements": 0, "GatherND": 0, "Embedding": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFile:
    """A valid ONNX file. Sizes that aren't fixed are None in `inputs`; `symbols` has their names, input by input.

    `index_limits` holds, for each integer input that is used as an index, the number of elements that it may index.
    """

    path: Path
    inputs: tuple[TensorSpec, ...]
    symbols: Mapping[str, tuple[str, ...]]
    outputs: tuple[TensorSpec, ...]
    opset: int
    parameters: int
    index_limits: Mapping[str, int]
    external_files: tuple[Path, ...]


def read(path: Path) -> OnnxFile:
    """Check the file and read its signature; its weights are not loaded.

    Raises:
        ModelError: it can't be read, isn't valid ONNX, lacks its external data, or has inputs that aren't tensors.
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
        index_limits=_index_limits(graph, weights),
        external_files=external,
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


def settle(found: OnnxFile, dimensions: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]) -> list[TensorSpec]:
    """The inputs with every size fixed: by the file, by `shapes` (input by input) or by `dimensions` (by name).

    Raises:
        UsageError: a size isn't fixed, or an option names nothing in the file, or contradicts it.
    """
    names = {spec.name: spec for spec in found.inputs}
    symbols = sorted({symbol for row in found.symbols.values() for symbol in row if symbol})
    _refuse_unknown("input", shapes, list(names))
    _refuse_unknown("dynamic dimension", dimensions, symbols)
    sizes = dict(dimensions)
    settled, missing = [], []
    for spec in found.inputs:
        given = shapes.get(spec.name)
        if given is not None and len(given) != len(spec.shape):
            raise UsageError(f"--shape {spec.name} must have {len(spec.shape)} dimensions ({spec}), got {len(given)}")
        shape = []
        for place, (size, symbol) in enumerate(zip(spec.shape, found.symbols[spec.name], strict=True)):
            requested = given[place] if given is not None else sizes.get(symbol) if symbol else None
            if size is not None and requested not in {None, size}:
                raise UsageError(
                    f"--shape {spec.name}: dimension {place} must be {size}, as in the file, got {requested}"
                )
            if symbol and given is not None and sizes.setdefault(symbol, given[place]) != given[place]:
                raise UsageError(f"dimension {symbol} must have one size, got {sizes[symbol]} and {given[place]}")
            shape.append(size if size is not None else requested)
        if None in shape:
            missing.append(spec.name)
        settled.append(TensorSpec(name=spec.name, dtype=spec.dtype, shape=tuple(shape)))
    # A later shape may have fixed a name that occurred before.
    settled = [_filled(spec, found.symbols[spec.name], sizes) for spec in settled]
    open_names = [spec.name for spec in settled if None in spec.shape]
    if open_names:
        raise _unsettled(found, sizes, open_names)
    return settled


def draw(specs: Sequence[TensorSpec], index_limits: Mapping[str, int], seed: int) -> list[protocol.Tensor]:
    """Inputs by type and shape, the same bytes for the same seed on every machine.

    Floating point: standard normal. bool: both values. uint8: 0 to 255, as in images. Other integers: valid indices, if
    the input is used as an index; 1, if its name contains "mask"; 0 to 9 otherwise. Each input has a random stream of
    its own (numpy's PCG64, seeded by `seed` and the input's name).
    """
    import numpy as np

    tensors = []
    for spec in specs:
        generator = np.random.Generator(np.random.PCG64([seed, zlib.crc32(spec.name.encode())]))
        shape = tuple(size for size in spec.shape if size is not None)
        values: Any
        if spec.dtype.startswith(("float", "bfloat")):
            values = generator.standard_normal(shape).astype(_numpy_type(spec.dtype))
        elif spec.dtype.startswith("complex"):
            values = (generator.standard_normal(shape) + 1j * generator.standard_normal(shape)).astype(spec.dtype)
        elif spec.dtype == "bool":
            values = generator.integers(0, 2, shape).astype(bool)
        elif spec.name in index_limits:
            values = generator.integers(0, index_limits[spec.name], shape).astype(spec.dtype)
        elif "mask" in spec.name.lower():
            values = np.ones(shape, dtype=spec.dtype)
        else:
            values = generator.integers(0, 256 if spec.dtype == "uint8" else 10, shape).astype(spec.dtype)
        data = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
        tensors.append(protocol.Tensor(spec.name, spec.dtype, shape, data))
    return tensors


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
    import numpy as np
    import onnx

    kind = value.type.WhichOneof("value")
    number = value.type.tensor_type.elem_type
    if kind != "tensor_type" or number in {onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING}:
        what = "strings" if kind == "tensor_type" else str(kind).removesuffix("_type")
        raise ModelError(f"{path}: input or output {value.name} must be a tensor of numbers, got {what}")
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(number)).name
    if dtype not in protocol.DTYPES:
        raise ModelError(f"{path}: {value.name} has type {dtype}, which isn't supported yet")
    shape = [
        entry.dim_value if entry.HasField("dim_value") and entry.dim_value > 0 else None
        for entry in value.type.tensor_type.shape.dim
    ]
    return TensorSpec(name=value.name, dtype=dtype, shape=tuple(shape))


def _symbols(value: onnx.ValueInfoProto) -> tuple[str, ...]:
    return tuple(entry.dim_param for entry in value.type.tensor_type.shape.dim)


def _index_limits(graph: onnx.GraphProto, weights: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """For each integer input that is used as an index into a table of weights: the table's length."""
    limits: dict[str, int] = {}
    sources = {value.name: value.name for value in graph.input if value.name not in weights}
    for node in graph.node:  # in the order in which they run
        if node.op_type in INDEXING and len(node.input) > 1 and node.input[0] in weights:
            source = sources.get(node.input[1])
            axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 0)
            table = weights[node.input[0]]
            if source and table:
                limits[source] = min(limits.get(source, table[axis]), table[axis])
        elif node.op_type in TRANSPARENT and node.input and node.input[0] in sources:
            sources[node.output[0]] = sources[node.input[0]]
    return limits


def _filled(spec: TensorSpec, symbols: Sequence[str], sizes: Mapping[str, int]) -> TensorSpec:
    shape = tuple(
        size if size is not None else sizes.get(symbol) for size, symbol in zip(spec.shape, symbols, strict=True)
    )
    return TensorSpec(name=spec.name, dtype=spec.dtype, shape=shape)


def _unsettled(found: OnnxFile, sizes: Mapping[str, int], names: Sequence[str]) -> UsageError:
    """The error for inputs without a fixed size; its hint is the options that fix them."""
    specs = [spec for spec in found.inputs if spec.name in names]
    symbols = sorted({symbol for spec in specs for symbol in found.symbols[spec.name] if symbol} - set(sizes))
    nameless = [
        spec
        for spec in specs
        if any(size is None and not symbol for size, symbol in zip(spec.shape, found.symbols[spec.name], strict=True))
    ]
    ways = [f"--dim {symbol}=8" for symbol in symbols]
    ways += [f"--shape {spec.name}={','.join(str(size or 1) for size in spec.shape)}" for spec in nameless]
    shown = "; ".join(_with_symbols(spec, found.symbols[spec.name]) for spec in specs)
    return UsageError(
        f"{found.path.name} has inputs without a fixed size: {shown}", hint=f"Fix them, for example: {' '.join(ways)}"
    )


def _with_symbols(spec: TensorSpec, symbols: Sequence[str]) -> str:
    sizes = [str(size or symbol or "?") for size, symbol in zip(spec.shape, symbols, strict=True)]
    return f"{spec.name}: {spec.dtype}[{', '.join(sizes)}]"


def _refuse_unknown(what: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise UsageError(
            f"no {what} {' or '.join(map(repr, unknown))}", hint=f"The file has: {', '.join(known) or 'none'}."
        )


def _numpy_type(name: str) -> Any:
    import numpy as np

    if hasattr(np, name):
        return np.dtype(name)
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name))


def _product(sizes: Sequence[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product
