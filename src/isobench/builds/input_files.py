"""Reads the values of inputs from files: .npz, .npy, .safetensors, .pb, .bin, Polygraphy's .json, ONNX's test data.

Nothing is unpickled. numpy and onnx are imported by the functions that need them.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isobench.builds.element_types import numpy_type
from isobench.errors import UsageError
from isobench.record import record
from isobench.system import memory, reading

if TYPE_CHECKING:
    from isobench.builds.element_types import Array

FORMATS = ".npz, .npy, .safetensors, .pb, Polygraphy's .json, or a folder test_data_set_N"
SAFETENSORS = {
    "BOOL": "bool",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "BF16": "bfloat16",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}
"""The types of a safetensors file by its own names, and the protocol's names of them."""

_SET = "test_data_set_"


@record(frozen=True, slots=True, kw_only=True)
class Message:
    """The bytes of a .pb file: what they mean depends on the type of the input (tensor, sequence or optional)."""

    data: bytes


@record(frozen=True, slots=True, kw_only=True)
class RawBytes:
    """The bytes of a .bin file: elements of the input's own type, in C order."""

    data: bytes


Value = Any
"""An Array, a Message or RawBytes."""


@record(frozen=True, slots=True, kw_only=True)
class InputSet:
    """The values of one inference: by name, by place among the model's inputs, or of its only input (`single`).

    `expected` are outputs that belong to them, by place; `source` is what the user gave, for messages.
    """

    source: str
    named: Mapping[str, Value] = field(default_factory=dict)
    placed: Mapping[int, Value] = field(default_factory=dict)
    single: Value | None = None
    expected: Mapping[int, Value] = field(default_factory=dict)


def files_of(path: Path) -> list[Path]:
    """The files that are read for `path`: itself, or what a folder of test data contains."""
    if not reading.is_folder(path):
        return [_chosen(path)[0]]
    folders = [path, *_sets_below(path)]
    return sorted(
        file for folder in folders for kind in ("input", "output") for file in _numbered(folder, kind).values()
    )


def read(path: Path) -> list[InputSet]:
    """The sets of inputs in a file or folder: most formats hold one.

    Raises:
        UsageError: it doesn't exist, or has an unknown format, or can't be read.
    """
    path, place = _chosen(path)
    try:
        if reading.is_folder(path):
            return _folder(path)
        sets = list(_read(path, _checked_size(path)))
    except FileNotFoundError:
        raise UsageError(f"--inputs {path}: no such file") from None
    except OSError as error:
        raise UsageError(f"--inputs {path}: can't be read: {error.strerror or error}") from None
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - numpy, zipfile, zlib and json raise errors of many classes
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        raise UsageError(f"--inputs {path}: not a valid {path.suffix} file: {what}") from None
    if place is not None and place >= len(sets):
        raise UsageError(f"--inputs {path}[{place}]: the file has {len(sets)} sets of inputs")
    return sets if place is None else [sets[place]]


def paths_of_sets(path: Path) -> list[Path]:
    """A path for each set of inputs in a file or folder: the path itself if it holds one."""
    sets = read(path)
    if len(sets) < 2:
        return [path]
    return [path / one.source if path.is_dir() else path.with_name(one.source) for one in sets]


def _chosen(path: Path) -> tuple[Path, int | None]:
    """The file and the place of the set in it that `x.json[1]` means; None: all that it has."""
    match = re.fullmatch(r"(.+)\[([0-9]{1,9})\]", path.name)
    if match is None or os.path.lexists(path):
        return path, None
    return path.with_name(match[1]), int(match[2])


def _checked_size(path: Path) -> int:
    """The bytes that the file may have.

    Raises:
        UsageError: it has more than there is memory.
        OSError: it can't be read, or isn't a file.
    """
    most = memory.available_bytes() or reading.MOST_BYTES
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it must be a regular file")
    if about.st_size > most:
        raise UsageError(f"--inputs {path}: {about.st_size:,} bytes don't fit into memory: {most:,} are available")
    return most


def _read(path: Path, most: int) -> Iterator[InputSet]:
    if path.suffix == ".npz":
        yield _npz(path, most)
    elif path.suffix == ".npy":
        yield InputSet(source=path.name, single=_load(path))
    elif path.suffix == ".safetensors":
        yield InputSet(source=path.name, named=_safetensors(reading.read_bytes(path, most_bytes=most)))
    elif path.suffix == ".pb":
        yield InputSet(source=path.name, single=Message(data=reading.read_bytes(path, most_bytes=most)))
    elif path.suffix in {".bin", ".raw"}:
        yield InputSet(source=path.name, single=RawBytes(data=reading.read_bytes(path, most_bytes=most)))
    elif path.suffix == ".json":
        for number, feed in enumerate(_polygraphy(reading.read_bytes(path, most_bytes=most))):
            yield InputSet(source=f"{path.name}[{number}]", named=feed)
    else:
        raise UsageError(f"--inputs {path}: unknown format", hint=f"Give {FORMATS}; .bin files as NAME=FILE.bin.")


def decoded(message: Message, kind: str, source: str) -> Any:
    """What a .pb file contains: an Array, a list of them (a sequence), or None (an optional without a value).

    `kind` is of the input in the graph: tensor_type, sequence_type or optional_type.

    Raises:
        UsageError: it has another kind.
    """
    import onnx

    classes: dict[str, Any] = {"sequence_type": onnx.SequenceProto, "optional_type": onnx.OptionalProto}
    try:
        value = classes.get(kind, onnx.TensorProto)()
        value.ParseFromString(message.data)
        return _of_proto(value)
    except Exception as error:  # noqa: BLE001 - onnx and protobuf raise errors of many classes
        what = kind.removesuffix("_type")
        raise UsageError(f"--inputs {source}: must hold a {what} as the model's input: {error}") from None


def _of_proto(value: Any) -> Any:
    import onnx

    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, onnx.OptionalProto):
        if value.HasField("tensor_value"):
            return _of_proto(value.tensor_value)
        return _of_proto(value.sequence_value) if value.HasField("sequence_value") else None
    if value.elem_type not in {value.UNDEFINED, value.TENSOR}:
        raise ValueError("a sequence of something else than tensors")
    return [onnx.numpy_helper.to_array(tensor) for tensor in value.tensor_values]


def _folder(path: Path) -> list[InputSet]:
    places = {kind: _numbered(path, kind) for kind in ("input", "output")}
    if places["input"] or places["output"]:
        inputs, outputs = (
            {place: Message(data=reading.read_bytes(file)) for place, file in places[kind].items()}
            for kind in ("input", "output")
        )
        return [InputSet(source=path.name, placed=inputs, expected=outputs)]
    below = _sets_below(path)
    if not below or path.name.startswith(_SET):
        raise UsageError(f"--inputs {path}: a folder without input_0.pb", hint=f"Give {FORMATS}.")
    return [one for folder in below for one in _folder(folder)]


def _sets_below(path: Path) -> list[Path]:
    found = [folder for folder in path.glob(f"{_SET}*") if reading.is_folder(folder)]
    return sorted(found, key=lambda folder: (len(folder.name), folder.name))


def _numbered(path: Path, kind: str) -> dict[int, Path]:
    found = ((re.fullmatch(rf"{kind}_([0-9]{{1,9}})\.pb", file.name), file) for file in sorted(path.iterdir()))
    return {int(match[1]): file for match, file in found if match}


def _npz(path: Path, most: int) -> InputSet:
    import zipfile

    import numpy as np

    with zipfile.ZipFile(path) as listed:
        unpacked = sum(entry.file_size for entry in listed.infolist())
    if unpacked > most:
        raise UsageError(f"--inputs {path}: {unpacked:,} bytes don't fit into memory: {most:,} are available")
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if others := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise ValueError(f"{others[0]} is no array")
    # numpy's own names of arrays that were saved without any.
    if arrays and all(re.fullmatch(r"arr_[0-9]{1,9}", name) for name in arrays):
        return InputSet(source=path.name, placed={int(name[4:]): array for name, array in arrays.items()})
    return InputSet(source=path.name, named=arrays)


def _load(file: Any) -> Array:
    import numpy as np

    array: Array = np.load(file, allow_pickle=False)
    if isinstance(array, np.ndarray):
        return array
    raise ValueError("it holds several arrays")


def _safetensors(data: bytes) -> dict[str, Array]:
    """The tensors of a safetensors file: 8 bytes of length, a JSON header, and the bytes that it describes."""
    import json

    import numpy as np

    start = 8 + int.from_bytes(data[:8], "little")
    if len(data) < start or start < 10:
        raise ValueError("its header is incomplete")
    arrays = {}
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in SAFETENSORS:
            raise ValueError(f"{name} has the unknown type {entry['dtype']}")
        first, end = entry["data_offsets"]
        raw = data[start + first : start + end]
        arrays[name] = np.frombuffer(raw, dtype=numpy_type(SAFETENSORS[entry["dtype"]])).reshape(entry["shape"])
    return arrays


def _polygraphy(content: bytes) -> Sequence[Mapping[str, Array]]:
    """The feeds of Polygraphy's --save-inputs: a list of objects, each array as the base64 of a .npy file."""
    import base64
    import io
    import json

    feeds = json.loads(content)
    if not isinstance(feeds, list) or not all(isinstance(feed, dict) for feed in feeds) or not feeds:
        raise ValueError("it must be a list of objects, as polygraphy run --save-inputs writes it")
    found = []
    for feed in feeds:
        arrays = {}
        for name, entry in feed.items():
            if "array" not in entry:
                raise ValueError(f"{name} must be an array of numpy, got {entry.get('polygraphy_class', 'an object')}")
            arrays[name] = _load(io.BytesIO(base64.b64decode(entry["array"], validate=True)))
        found.append(arrays)
    return found
