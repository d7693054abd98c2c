"""What the host does with an ONNX file: reads its signature, hashes and copies it, and notes what isn't valid in it.

`onnx` is imported by the functions that need it: it takes a fifth of a second.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from isobench.builds import onnx_text, onnx_values
from isobench.builds.external_data import ExternalFile, external_files
from isobench.builds.onnx_wire import missing_bytes
from isobench.errors import ModelError
from isobench.planning.models import TensorSpec
from isobench.record import record
from isobench.system import files, forked
from isobench.system.file_kinds import recognize

if TYPE_CHECKING:
    import onnx

CHECKER = "onnx.checker: "
CHECK_TIMEOUT_S = 60
CHECK_BYTES = 1 << 30
MOST_BYTES = (1 << 31) - 1
"""A larger file isn't a protocol buffer, and isn't read."""
_NOTE_CHARACTERS = 300


@record(frozen=True, slots=True, kw_only=True)
class OnnxFile:
    """An ONNX file. Sizes that aren't fixed are None in `inputs`; `symbols` has their names, input by input.

    `unranked` are the inputs whose number of dimensions isn't known. `model` is what the file holds, without its
    external data.
    """

    path: Path
    inputs: tuple[TensorSpec, ...]
    symbols: Mapping[str, tuple[str, ...]]
    unranked: frozenset[str]
    outputs: tuple[TensorSpec, ...]
    opset: int
    parameters: int
    external: tuple[ExternalFile, ...]
    model: onnx.ModelProto = field(repr=False, compare=False)


def read(path: Path) -> OnnxFile:
    """Read the file's signature; its weights are not loaded.

    Raises:
        ModelError: it can't be read, isn't ONNX, lacks its external data, or has inputs of unknown types.
    """
    return of_model(path, _loaded(path))


def of_model(path: Path, model: onnx.ModelProto) -> OnnxFile:
    """The signature of what a file holds.

    Raises:
        ModelError: it lacks its external data, or has inputs of unknown types.
    """
    graph = model.graph
    weights = {initializer.name: tuple(initializer.dims) for initializer in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    found = OnnxFile(
        path=path,
        inputs=tuple(onnx_values.spec(value, path) for value in inputs),
        symbols={value.name: onnx_values.symbols(value) for value in inputs},
        unranked=frozenset(value.name for value in inputs if onnx_values.is_unranked(value)),
        outputs=tuple(onnx_values.output(value, path) for value in graph.output),
        opset=max((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), default=0),
        parameters=sum(_product(shape) for shape in weights.values()),
        external=external_files(path, model),
        model=model,
    )
    onnx_text.make_readable(model)
    return found


def check_exported(path: Path) -> tuple[str, tuple[str, ...]]:
    """The SHA-256 of a file that an exporter wrote, with its external data, and the notes about it.

    Raises:
        ModelError: it isn't an ONNX file.
    """
    model = _loaded(path)
    external = external_files(path, model)
    return content_hash(path, external), notes(path)


def content_hash(path: Path, external: Sequence[ExternalFile], sha256: Callable[[Path], str] = files.sha256) -> str:
    """The SHA-256 of a file with its external data, by name; without external data, the file's own SHA-256."""
    own = sha256(path)
    if not external:
        return own
    together = hashlib.sha256(bytes.fromhex(own))
    for other in external:
        together.update(other.location.encode() + b"\0" + bytes.fromhex(sha256(other.path)))
    return together.hexdigest()


def copy(found: OnnxFile, target: Path) -> None:
    """Copy the file to `target`, and its external data beside it, by the names that the file uses for them."""
    shutil.copyfile(found.path, target)
    for file in found.external:
        beside = target.parent / file.location
        beside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, beside)


def with_sizes(found: OnnxFile, inputs: Mapping[str, TensorSpec]) -> bytes:
    """The file's content with the sizes of these inputs in their declarations; its external data stays as it is."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(found.model)
    for value in model.graph.input:
        if value.name in inputs:
            onnx_values.fix(value, inputs[value.name].shape)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def is_checkers(note: str) -> bool:
    """Is it one of `notes`?"""
    return note.startswith(CHECKER)


def notes(path: Path) -> tuple[str, ...]:
    """What onnx.checker doesn't like about the file, in one line; runtimes may accept it all the same."""
    import onnx

    def checked() -> bytes:
        try:
            # By its path: a model of more than 2 GB can't be checked otherwise, nor one with external data.
            onnx.checker.check_model(str(path))
        except Exception as error:  # noqa: BLE001 - it raises errors of its own, of its inference, and ValueError
            return str(error).encode() or b"the model isn't valid"
        return b""

    # The checker has the file twice, as bytes and as a message, and infers shapes.
    memory_bytes = CHECK_BYTES + 4 * path.stat().st_size
    found = forked.compute(checked, timeout_s=CHECK_TIMEOUT_S, memory_bytes=memory_bytes)
    if found is None:
        return (f"{CHECKER}it crashed, took longer than {CHECK_TIMEOUT_S} s or too much memory",)
    text = found.decode(errors="replace").replace(f"{path.parent}/", "")
    lines = [line.strip().removeprefix("==> Context: ") for line in text.splitlines()]
    return (f"{CHECKER}{'; '.join(filter(None, lines))[:_NOTE_CHARACTERS]}",) if found else ()


def _loaded(path: Path) -> onnx.ModelProto:
    """The file's content without its external data."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise _not_onnx(path, f"it is too large, {size:,} bytes of at most {MOST_BYTES:,}")
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from None
    except (DecodeError, ValueError) as error:
        raise _not_onnx(path, str(error)) from None
    if not model.graph.output:
        raise _not_onnx(path, "it has no graph with outputs")
    return model


def _not_onnx(path: Path, reason: str) -> ModelError:
    """The error for a file that isn't ONNX; it says what the file is, if that can be seen."""
    kind = recognize(path)
    if kind:
        return ModelError(f"{path} is {kind.what}", hint=kind.hint)
    try:
        missing = missing_bytes(path)
    except ValueError:
        missing = 0
    if missing:
        return ModelError(
            f"{path} is incomplete: {missing:,} bytes are missing at its end", hint="Copy or download it again."
        )
    return ModelError(f"{path} isn't an ONNX file: {reason}")


def _product(sizes: Sequence[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product
