"""What a file is that was taken for a model: by its first bytes, for messages that say how to get on."""

from __future__ import annotations

import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path

from isobench.record import record

HEAD_BYTES = 1 << 16
_TEXT_BYTES = bytes({7, 9, 10, 12, 13, 27, *range(0x20, 0x100)})


@record(frozen=True, slots=True, kw_only=True)
class FileKind:
    """What a file is, as the rest of the sentence "FILE is ...", and a way to get a model out of it."""

    what: str
    hint: str = ""


_TORCH = FileKind(
    what="a PyTorch file",
    hint="isobench needs the Python script that makes the model and calls it, or an .onnx file: see torch.onnx.export.",
)
_TORCHSCRIPT = FileKind(
    what="a TorchScript file",
    hint="Load it in a script with torch.jit.load, call it with inputs, and give the script to isobench.",
)
_TENSORFLOW = FileKind(what="a TensorFlow graph", hint="Convert it with tf2onnx: python -m tf2onnx.convert")
_TFLITE = FileKind(
    what="a TensorFlow Lite file", hint="Convert it with tf2onnx: python -m tf2onnx.convert --tflite FILE"
)
_KERAS = FileKind(
    what="a Keras file", hint="Convert it with tf2onnx, or with Keras 3: model.export(..., format='onnx')"
)
_WEIGHTS = FileKind(
    what="a safetensors file, which holds weights without a graph", hint="Give the script that makes the model."
)
_ARCHIVE = "Unpack it, and give the .onnx file in it."

_MAGIC: tuple[tuple[int, bytes, FileKind], ...] = (
    (0, b"\x1f\x8b", FileKind(what="a gzip archive", hint=_ARCHIVE)),
    (0, b"BZh", FileKind(what="a bzip2 archive", hint=_ARCHIVE)),
    (0, b"\xfd7zXZ\0", FileKind(what="an xz archive", hint=_ARCHIVE)),
    (0, b"\x28\xb5\x2f\xfd", FileKind(what="a zstd archive", hint=_ARCHIVE)),
    (0, b"7z\xbc\xaf\x27\x1c", FileKind(what="a 7z archive", hint=_ARCHIVE)),
    (0, b"Rar!\x1a\x07", FileKind(what="a rar archive", hint=_ARCHIVE)),
    (257, b"ustar", FileKind(what="a tar archive", hint=_ARCHIVE)),
    (0, b"\x89HDF\r\n\x1a\n", FileKind(what="an HDF5 file, as Keras writes them", hint=_KERAS.hint)),
    (0, b"GGUF", FileKind(what="a GGUF file, as llama.cpp takes them", hint="Give the .onnx file of the same model.")),
    (0, b"\x93NUMPY", FileKind(what="an array of numpy's (.npy)")),
    (4, b"TFL3", _TFLITE),
    (
        4,
        b"ORTM",
        FileKind(what="a file in ONNX Runtime's own format", hint="Give it the suffix .ort, or the .onnx file."),
    ),
    (0, b"ftrt", FileKind(what="a TensorRT engine", hint="Give the .onnx file that it was built from.")),
    (0, b"\x7fELF", FileKind(what="a program or library")),
    (0, b"%PDF", FileKind(what="a PDF document")),
    (0, b"\x89PNG", FileKind(what="an image")),
    (0, b"\xff\xd8\xff", FileKind(what="an image")),
)


def recognize(file: Path) -> FileKind | None:
    """What the file is, if its first bytes say so; None otherwise, as for an ONNX file.

    Raises:
        OSError: it can't be read.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        return FileKind(what="empty", hint="Copy or download it again.")
    found = next((kind for place, magic, kind in _MAGIC if head.startswith(magic, place)), None)
    if found:
        return found
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return _archive(file)
    if head[:1] == b"\x80" and head[1:2] in {b"\2", b"\3", b"\4", b"\5"} and b"." in head:
        return _pickle(head)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        return _WEIGHTS
    # Control characters that no text has: an ONNX file begins with one or more of them.
    if not head[:4096].translate(None, _TEXT_BYTES):
        return _text(file, head[:4096].decode("utf-8", errors="replace"))
    if any(word in head for word in (b"StatefulPartitionedCall", b"saved_model", b"VarHandleOp", b"tensorflow")):
        return _TENSORFLOW
    return None


def _text(file: Path, text: str) -> FileKind | None:
    start = text.lstrip("\ufeff \t\r\n")
    lower = start.lower()
    if start.startswith(("version https://git-lfs.github.com/spec/", "version https://hawser.github.com/spec/")):
        size = next((line.removeprefix("size ") for line in text.splitlines() if line.startswith("size ")), "?")
        return FileKind(
            what=f"a git-lfs pointer to {size} bytes, not the file itself",
            hint=f"Fetch the file: cd {shlex.quote(str(file.absolute().parent))} && git lfs pull",
        )
    if lower.startswith(("<!doctype html", "<html")):
        return FileKind(
            what="an HTML page, such as a server sends in place of a file",
            hint="Download the file itself; a page of a hub has a link to the raw file.",
        )
    if lower.startswith("<?xml") or "<net " in lower:
        what = "an OpenVINO model (.xml)" if "<net " in lower else "an XML file"
        return FileKind(what=what, hint="Give the .onnx file that it was made from.")
    line = start.strip()
    if "\n" not in line and len(line) < 1024 and (line.startswith("../") or "/annex/objects/" in line):
        return FileKind(
            what=f"a link that was stored as text, to {line!r}",
            hint="git and archives do so where links aren't supported: give the file that it names.",
        )
    if lower.startswith(("ir_version", "<ir_version", "<\n")) or '"irversion"' in lower.replace("_", ""):
        return FileKind(
            what="an ONNX model in text form", hint="Write it as binary: onnx.save(onnx.load(FILE), 'model.onnx')"
        )
    if file.suffix == ".ipynb":
        name = shlex.quote(str(file))
        return FileKind(
            what="a notebook",
            hint=f"Make a script of it: `jupyter nbconvert --to script {name}`, or `jupytext --to py {name}`.",
        )
    if lower.startswith(("{", "[")):
        return FileKind(what="a JSON file")
    return FileKind(what="a text file")


def _archive(file: Path) -> FileKind:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        return FileKind(what="a zip archive that is incomplete or damaged", hint="Copy or download it again.")
    known: tuple[tuple[Callable[[str], bool], FileKind], ...] = (
        (lambda name: name.endswith(("/constants.pkl", "/code/__torch__.py")), _TORCHSCRIPT),
        (lambda name: name.endswith("serialized_exported_program.json") or "/models/model.json" in name, _TORCH),
        (lambda name: name.endswith(("data.pkl", "/byteorder")), _TORCH),
        (lambda name: name == "model.weights.h5", _KERAS),
        (lambda name: name.endswith(".npy"), FileKind(what="arrays of numpy's (.npz)")),
    )
    for matches, kind in known:
        if any(map(matches, names)):
            return kind
    inside = next((name for name in names if name.endswith(".onnx")), "")
    return FileKind(what=f"a zip archive with {inside} in it" if inside else "a zip archive", hint=_ARCHIVE)


def _pickle(head: bytes) -> FileKind:
    if b"torch" in head or b"\x19\x50\xa8\x6a\x20\xf9\x46\x9c\xfc\x6c" in head:
        return _TORCH
    return FileKind(what="a Python pickle", hint="Give the Python script that makes the model and calls it.")
