from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest

from isobench.system.file_kinds import recognize

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 102442450\n"


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            # Without a time of day in it: the name of a test must be the same in each process that collects it.
            archive.writestr(zipfile.ZipInfo(name), b"x")
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.onnx"))
    return buffer.getvalue()


def safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4)


@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [
        (b"", "empty", "download it again"),
        (LFS, "a git-lfs pointer to 102442450 bytes, not the file itself", "git lfs pull"),
        (b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>", "an HTML page", "raw file"),
        (b"<html lang='en'>404</html>", "an HTML page", "raw file"),
        (b"<?xml version='1.0'?>\n<net name='m' version='11'></net>", "an OpenVINO model", ".onnx file"),
        (b'{"error": "not found"}', "a JSON file", ""),
        (b"Entry not found", "a text file", ""),
        (b"../../../blobs/0123abcd", "a link that was stored as text, to '../../../blobs/0123abcd'", "give the file"),
        (b"ir_version: 8\ngraph {\n}\n", "an ONNX model in text form", "onnx.save"),
        (gzip.compress(b"model", mtime=0), "a gzip archive", "Unpack it"),
        (tarred(), "a tar archive", "Unpack it"),
        (zipped("net/model.onnx", "README"), "a zip archive with net/model.onnx in it", "Unpack it"),
        (zipped("a.txt"), "a zip archive", "Unpack it"),
        (zipped("a.txt")[:40], "a zip archive that is incomplete or damaged", "download it again"),
        (zipped("m/data.pkl", "m/byteorder", "m/data/0"), "a PyTorch file", "torch.onnx.export"),
        (zipped("m/data.pkl", "m/code/__torch__.py", "m/constants.pkl"), "a TorchScript file", "torch.jit.load"),
        (zipped("config.json", "model.weights.h5"), "a Keras file", "tf2onnx"),
        (zipped("x.npy"), "arrays of numpy's (.npz)", ""),
        (pickle.dumps({"torch": 1}), "a PyTorch file", "torch.onnx.export"),
        (pickle.dumps([1, 2]), "a Python pickle", "script"),
        (safetensors(), "a safetensors file", "script"),
        (b"\x1c\0\0\0TFL3" + bytes(20), "a TensorFlow Lite file", "--tflite"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "an HDF5 file", "tf2onnx"),
        (b"GGUF\x03\0\0\0", "a GGUF file", ".onnx file"),
        (b"\x08\x01\x12\x90\x0a\x1a\x0bsaved_model\0", "a TensorFlow graph", "tf2onnx"),
    ],
)
def test_what_a_file_is_shows_in_its_first_bytes(tmp_path: Path, content: bytes, what: str, hint: str) -> None:
    file = tmp_path / "my model.onnx"
    file.write_bytes(content)
    found = recognize(file)
    assert found is not None
    assert found.what.startswith(what)
    assert hint in found.hint


def test_the_way_to_fetch_a_file_of_git_lfs_can_be_pasted(tmp_path: Path) -> None:
    (tmp_path / "my models").mkdir()
    (tmp_path / "my models" / "m.onnx").write_bytes(LFS)
    found = recognize(tmp_path / "my models" / "m.onnx")
    assert found is not None
    assert f"cd '{tmp_path}/my models' && git lfs pull" in found.hint


def test_other_bytes_say_nothing(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(b"\x08\x0a\x12\x07pytorch" + bytes(range(256)))
    assert recognize(file) is None


def test_a_notebook_is_recognised_with_the_command_that_makes_a_script_of_it(tmp_path: Path) -> None:
    notebook = tmp_path / "my model.ipynb"
    notebook.write_text('{"cells": []}')
    kind = recognize(notebook)
    assert kind is not None
    assert kind.what == "a notebook"
    assert f"`jupyter nbconvert --to script '{notebook}'`" in kind.hint
