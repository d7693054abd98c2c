"""Files that are no ONNX files, or no files, and names of files that are odd."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from hostile_registry import (
    MEASURED,
    MODEL_ERROR,
    REFUSED,
    add,
    hostile,
    hostile_file,
)
from onnx import helper
from onnx_forms import (
    ESCAPES,
    FLOAT,
    model,
    with_weight,
    written,
)

# Files


@hostile(MODEL_ERROR, says="empty")
def file_empty() -> bytes:
    return b""


@hostile(MODEL_ERROR, says="text")
def file_of_text() -> bytes:
    return b"not a model\n"


@hostile(MODEL_ERROR, says="ONNX")
def file_of_zeros() -> bytes:
    return bytes(1 << 20)


@hostile(MODEL_ERROR, says="text")
def file_of_ones() -> bytes:
    return b"\xff" * 4096


@hostile(MODEL_ERROR, says="incomplete")
def file_truncated() -> bytes:
    data: bytes = with_weight(helper.make_tensor("w", FLOAT, [2, 3], [1.0] * 6)).SerializeToString()
    return data[:-30]


@hostile(MODEL_ERROR, says="bytes are missing")
def file_of_a_length_without_end() -> bytes:
    return b"\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"


@hostile_file(MODEL_ERROR, says="large")
def file_of_a_terabyte(folder: Path) -> Path:
    file = written(folder, model())
    os.truncate(file, 1 << 40)
    return file


@hostile_file(REFUSED, says="named pipe")
def file_is_a_fifo(folder: Path) -> Path:
    os.mkfifo(folder / "model.onnx")
    return folder / "model.onnx"


@hostile_file(REFUSED, says="folder")
def file_is_a_folder(folder: Path) -> Path:
    (folder / "model.onnx").mkdir()
    return folder / "model.onnx"


@hostile_file(REFUSED, says="device")
def file_is_a_device(folder: Path) -> Path:
    (folder / "model.onnx").symlink_to("/dev/zero")
    return folder / "model.onnx"


@hostile_file(REFUSED, says="link")
def file_is_a_loop_of_links(folder: Path) -> Path:
    (folder / "model.onnx").symlink_to("model.onnx")
    return folder / "model.onnx"


@hostile_file(MODEL_ERROR)
def file_is_a_memory(folder: Path) -> Path:
    (folder / "model.onnx").symlink_to("/proc/self/mem")
    return folder / "model.onnx"


@hostile_file(REFUSED, says="socket")
def file_is_a_socket(folder: Path) -> Path:
    here = os.open(".", os.O_RDONLY)
    os.chdir(folder)  # an address has at most 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("model.onnx")
    finally:
        os.chdir(here)
        os.close(here)
    return folder / "model.onnx"


# Names


def _named(name: str, file_name: str | bytes, *endings: str, says: str = "") -> None:
    add(
        f"name_{name}",
        lambda folder: written(folder, model(), os.fsdecode(file_name)),
        endings or (MEASURED,),
        says,
    )


_named("not_utf8", b"\xff\xfe\x80.onnx")
_named("of_255_bytes", "n" * 250 + ".onnx")
_named("of_255_bytes_of_utf8", "\u00e4" * 125 + ".onnx")
_named("moves_the_cursor", f"{ESCAPES}.onnx")
_named("with_a_newline", "a\nb.onnx")
_named("with_blanks", "  a  b  .onnx")
_named("with_dots", "..onnx.onnx")
_named("with_dashes", "--json.onnx")
_named("with_quotes", "a'b\"c`d$(touch harm)`.onnx")
_named("with_brackets", "model[0-9].onnx")
_named("with_a_star", "*.onnx")
_named("with_colons", "a::b.onnx")
_named("with_percents", "%s%n%(x)s{0}.onnx")
_named("written_backwards", "\u202egpj.onnx")
_named("of_a_formula", "=cmd|' C'!A0.onnx")
_named("of_a_suffix", ".onnx", REFUSED, says="not a model")
