"""The files that host and worker exchange: JSON, written atomically, and tensors as msgpack.

Both sides import this module, so each format is defined once. It needs the standard library, and msgpack for tensors;
it doesn't need numpy. Nothing that is read is unpickled or executed.

A run directory contains:

    request.json      host -> worker: what to do
    outputs.json      worker -> host: written last and atomically; if it's missing, the worker crashed
    outputs.msgpack   worker -> host: the tensors that the last timed iteration returned (outputs-1.msgpack, ... of
                      further sets of inputs)
    samples.bin       worker -> host: nanoseconds of each sample, little-endian int64, written block by block
    end-to-end.bin    worker -> host: the same, from host memory to host memory, where samples.bin is the GPU's own time
    worker.log        standard output and error of the worker; never parsed

A tensors file is a msgpack map `{"schema": TENSORS_SCHEMA, "tensors": [{"name", "dtype", "shape", "data"}, ...]}`
where `data` is the C-contiguous, little-endian bytes and `dtype` is one of `DTYPES`. Elements of less than a byte take
a byte each, in its low bits. Of text (`string`), `data` has the length of each element (4 bytes) and its UTF-8 bytes.

A value that isn't a tensor is several tensors: a sequence `y` is `y.0`, `y.1`, ...; a map is `y.keys` and `y.values`; a
sequence of n maps with the same k keys is `y.keys` and `y.values`, both of shape [n, k]; an optional without a value is
none.
"""

from __future__ import annotations

import os
import stat
import sys
from array import array
from collections.abc import Iterable
from typing import Any, NamedTuple

try:
    from enum import StrEnum
except ImportError:  # Python 3.10: some adopted environments have it
    from enum import Enum

    class StrEnum(str, Enum):  # type: ignore[no-redef]  # noqa: UP042 - this is what stands in for it
        """A string with a name: Python 3.11's, as far as it is used."""

        __str__ = str.__str__
        __format__ = str.__format__  # type: ignore[assignment]


REQUEST_SCHEMA = "isobench.request/1"
OUTPUTS_SCHEMA = "isobench.outputs/1"
TENSORS_SCHEMA = "isobench.tensors/1"

REQUEST_FILE = "request.json"
OUTPUTS_FILE = "outputs.json"
OUTPUT_TENSORS_FILE = "outputs.msgpack"
SAMPLES_FILE = "samples.bin"
END_TO_END_FILE = "end-to-end.bin"
LOG_FILE = "worker.log"
WRITTEN = (OUTPUTS_FILE, OUTPUT_TENSORS_FILE, SAMPLES_FILE, END_TO_END_FILE)

MOST_JSON_BYTES = 64 << 20
MOST_SAMPLES = 1 << 30
MOST_TENSOR_BYTES = 64 << 30
"""The largest files that are read; what a worker writes may be wrong in any way."""

STRING = "string"

# The names of numpy and ml_dtypes (torch's without "torch."), and the bytes of one element (text: 0, they differ).
DTYPES = {
    "bool": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "float16": 2,
    "float32": 4,
    "float64": 8,
    "bfloat16": 2,
    "complex64": 8,
    "complex128": 16,
    "float8_e4m3fn": 1,
    "float8_e4m3fnuz": 1,
    "float8_e5m2": 1,
    "float8_e5m2fnuz": 1,
    "float8_e8m0fnu": 1,
    "float4_e2m1fn": 1,
    "int4": 1,
    "uint4": 1,
    "int2": 1,
    "uint2": 1,
    STRING: 0,
}


def outputs_file(place: int) -> str:
    """The name of the file with the outputs of a set of inputs: of the first, `OUTPUT_TENSORS_FILE`."""
    return OUTPUT_TENSORS_FILE if place == 0 else f"outputs-{place}.msgpack"


class Ending(StrEnum):
    """How a Case ended: one word for programs. `isobench.failures` has the exit code and meaning of each.

    All but the first three mean that there is no measurement.
    """

    OK = "ok"
    WRONG_OUTPUTS = "wrong-outputs"
    NOT_COMPARED = "not-compared"

    USAGE = "usage"
    MODEL_ERROR = "model-error"
    SCRIPT_ERROR = "script-error"
    SCRIPT_EXIT = "script-exit"
    NO_MODEL = "no-model"
    MODEL_NEVER_CALLED = "model-never-called"
    UNKNOWN_HASH = "unknown-hash"
    EXPORT_FAILED = "export-failed"
    UNSUPPORTED_OPERATOR = "unsupported-operator"
    ENVIRONMENT = "environment"
    ENVIRONMENT_DRIFT = "environment-drift"
    IMPORT_ERROR = "import-error"
    EXCEPTION = "exception"
    CRASH = "crash"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    OUT_OF_DEVICE_MEMORY = "out-of-device-memory"
    DISK_FULL = "disk-full"
    PROTOCOL = "protocol"
    CANCELLED = "cancelled"
    DEVICE_BUSY = "device-busy"
    DEVICE_MISSING = "device-missing"
    REQUIREMENT = "requirement"
    REFUSED = "refused"
    BAD_ARGUMENT = "bad-argument"
    NO_PROVIDER = "no-provider"
    PROVIDER_FALLBACK = "provider-fallback"
    PRECISION = "precision"
    ASYNCHRONOUS = "asynchronous"
    NO_COMPILER = "no-compiler"
    COMPILE_ERROR = "compile-error"
    ENGINE_ERROR = "engine-error"
    RESULT = "result"
    LOST = "lost"
    INTERNAL = "internal"


class Phase(StrEnum):
    """What a worker is doing, so that it reads well after "while"."""

    IMPORTING = "importing"
    LOADING = "loading"
    RUNNING_SCRIPT = "running the script"
    COMPUTING_EXPECTED = "computing the expected outputs"
    EXPORTING = "exporting to ONNX"
    CONVERTING = "converting to float16"
    PARSING = "parsing"
    COMPILING = "compiling"
    BUILDING_ENGINE = "building the engine"
    COMPARING_ENGINES = "comparing the engines"
    CAPTURING_GRAPH = "capturing the CUDA graph"
    MOVING_TO_GPU = "moving the model to the GPU"
    WARMING_UP = "warming up"
    MEASURING = "measuring"
    WRITING = "writing the outputs"


def _shown(value: Any) -> str:
    """A text from a file in a message: cut where it is long; of another value, its type."""
    return f"{value!r:.80}" if value is None or isinstance(value, str) else f"a {type(value).__name__}"


class ProtocolError(ValueError):
    """A file doesn't have the format of its schema."""


class SchemaError(ProtocolError):
    """A file has another schema: `found`, None where it names none."""

    def __init__(self, message: str, found: Any) -> None:
        super().__init__(message)
        self.found = found


class Tensor(NamedTuple):
    """One named tensor; `data` has its elements, C-contiguous and little-endian."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as JSON so that a reader sees the complete file or none."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """The value as a JSON file has it.

    Raises:
        ValueError, TypeError, RecursionError: it isn't JSON, as NaN and Infinity aren't.
    """
    import json  # not above: the host looks its environments up without it

    return json.dumps(value, indent=1, allow_nan=False).encode() + b"\n"


def read_json(path: str | os.PathLike[str], schema: str) -> dict[str, Any]:
    """Read a JSON object and check its `schema` member.

    Raises:
        FileNotFoundError: the file doesn't exist.
        ProtocolError: it isn't a regular file of a JSON object, is too large, or (SchemaError) has another schema.
    """
    import json

    raw = read_bytes(path, most_bytes=MOST_JSON_BYTES)
    try:
        value = json.loads(raw, parse_constant=refused)
    except RecursionError:
        raise ProtocolError(f"{os.fspath(path)} is nested too deeply") from None
    except ValueError as error:
        raise ProtocolError(f"{os.fspath(path)} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise ProtocolError(f"{os.fspath(path)} must be a JSON object, got {type(value).__name__}")
    found = value.get("schema")
    if found != schema:
        raise SchemaError(f"{os.fspath(path)} must have the schema {schema!r}, got {_shown(found)}", found)
    return value


def refused(word: str) -> None:
    """Python's NaN and Infinity are not JSON: whoever reads such a file with another program fails."""
    raise ValueError(f"{word} is no JSON value")


def write_tensors(path: str | os.PathLike[str], tensors: list[Tensor]) -> None:
    """Write a tensors file, atomically."""
    import msgpack

    packed = msgpack.packb({"schema": TENSORS_SCHEMA, "tensors": [tensor._asdict() for tensor in tensors]})
    write_bytes(path, packed)


def read_tensors(path: str | os.PathLike[str], *, most_bytes: int = MOST_TENSOR_BYTES) -> list[Tensor]:
    """Read a tensors file.

    Raises:
        FileNotFoundError: the file doesn't exist.
        ProtocolError: it isn't a tensors file, is too large, or a tensor's bytes don't fit its type and shape.
    """
    import msgpack

    raw = read_bytes(path, most_bytes=most_bytes)
    try:
        # A tensor may be larger than msgpack's default limits; no part can be larger than the file.
        value = msgpack.unpackb(raw, max_bin_len=len(raw), max_str_len=len(raw))
        if value["schema"] != TENSORS_SCHEMA:
            raise ProtocolError(
                f"{os.fspath(path)} must have the schema {TENSORS_SCHEMA!r}, got {_shown(value['schema'])}"
            )
        tensors = [_tensor(entry) for entry in value["tensors"]]
    except (ValueError, KeyError, TypeError, msgpack.exceptions.UnpackException) as error:
        if isinstance(error, ProtocolError):
            raise
        raise ProtocolError(f"{os.fspath(path)} is not a tensors file: {error}") from None
    for tensor in tensors:
        count = 1
        for size in tensor.shape:
            count *= size
        if tensor.dtype not in DTYPES:
            raise ProtocolError(
                f"{os.fspath(path)}: tensor {_shown(tensor.name)} has the unknown type {_shown(tensor.dtype)}"
            )
        if tensor.dtype == STRING:
            if _elements(tensor.data) != count:
                raise ProtocolError(
                    f"{os.fspath(path)}: tensor {_shown(tensor.name)} must have {count} strings, "
                    f"each after its length, got {len(tensor.data)} bytes that aren't"
                )
        elif len(tensor.data) != count * DTYPES[tensor.dtype]:
            raise ProtocolError(
                f"{os.fspath(path)}: tensor {_shown(tensor.name)} must have {count * DTYPES[tensor.dtype]} bytes "
                f"({tensor.dtype}{list(tensor.shape[:16])}), got {len(tensor.data)}"
            )
    return tensors


def _tensor(entry: Any) -> Tensor:
    """The tensor of an entry of a tensors file, once its members have the right types."""
    name, dtype, shape, data = (entry[member] for member in Tensor._fields)
    types = {"name": (name, str), "dtype": (dtype, str), "shape": (shape, list), "data": (data, bytes)}
    for member, (value, kind) in types.items():
        if type(value) is not kind:
            raise TypeError(f"the {member} of a tensor must be {kind.__name__}, got {type(value).__name__}")
    for size in shape:
        if type(size) is not int or size < 0:
            raise ValueError(f"a size of a tensor must be a whole number of at least 0, got {size!r:.40}")
    return Tensor(name, dtype, tuple(shape), data)


def pack_strings(texts: Iterable[str]) -> bytes:
    """The data of a tensor of text. Bytes that aren't UTF-8 pass through as Python's surrogates."""
    encoded = [text.encode(errors="surrogateescape") for text in texts]
    return b"".join(len(text).to_bytes(4, "little") + text for text in encoded)


def unpack_strings(data: bytes) -> list[str]:
    """The elements of a tensor of text, in C order.

    Raises:
        ProtocolError: the data ends in the middle of an element.
    """
    texts: list[str] = []
    place = 0
    while place < len(data):
        start = place + 4
        place = start + int.from_bytes(data[place:start], "little")
        if place > len(data) or start > len(data):
            raise ProtocolError(f"a tensor of strings ends in the middle of its element {len(texts)}")
        texts.append(data[start:place].decode(errors="surrogateescape"))
    return texts


def read_samples(path: str | os.PathLike[str], *, most: int = MOST_SAMPLES) -> array[int]:
    """Read a samples file: the nanoseconds of each sample, 8 bytes each (there may be tens of millions).

    Raises:
        FileNotFoundError: the file doesn't exist.
        ProtocolError: it has more than `most` samples, or ends in the middle of one.
    """
    raw = read_bytes(path, most_bytes=8 * most)
    if len(raw) % 8:
        raise ProtocolError(f"{os.fspath(path)} ends in the middle of a sample")
    samples = array("q", raw)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _elements(data: bytes) -> int:
    """The number of strings in the data of a tensor of text; -1 if it isn't such data."""
    try:
        return len(unpack_strings(data))
    except ProtocolError:
        return -1


def read_bytes(path: str | os.PathLike[str], *, most_bytes: int) -> bytes:
    """The content of a regular file; never blocks, as a FIFO would, and never reads without end, as a device would.

    Raises:
        OSError: the file doesn't exist (FileNotFoundError), or can't be read.
        ProtocolError: it isn't a regular file, or has more than `most_bytes`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise ProtocolError(f"{os.fspath(path)} must be a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            # Of one that is too large, nothing is read; it may grow meanwhile.
            raw = file.read(about.st_size + 1) if about.st_size <= most_bytes else b""
    finally:
        os.close(descriptor)
    if max(len(raw), about.st_size) > most_bytes:
        raise ProtocolError(f"{os.fspath(path)} must have at most {most_bytes:,} bytes")
    return raw


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`: where a disk is nearly full, the kernel takes a part of it, and says so the next time."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` so that a reader sees the complete file or none, even if this process is killed meanwhile."""
    temporary = f"{os.fspath(path)}.{os.urandom(4).hex()}.tmp"  # not the process ID: hosts may share the folder
    with open(temporary, "wb") as file:
        file.write(data)
    os.replace(temporary, path)
