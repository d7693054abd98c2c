from __future__ import annotations

import base64
import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isobench.builds import input_files
from isobench.builds.input_files import Message, RawBytes
from isobench.errors import UsageError
from isobench.system import memory

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def safetensors(path: Path, tensors: dict[str, tuple[str, Any]]) -> Path:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, (kind, array) in tensors.items():
        raw = array.tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def polygraphy(array: Any) -> dict[str, str]:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return {"array": base64.b64encode(buffer.getvalue()).decode(), "polygraphy_class": "ndarray"}


def test_an_npz_file_holds_inputs_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=X, y=X + 1)
    [found] = input_files.read(tmp_path / "x.npz")
    assert (found.source, list(found.named)) == ("x.npz", ["x", "y"])
    np.testing.assert_array_equal(found.named["y"], X + 1)


def test_arrays_that_numpy_saved_without_names_are_taken_by_place(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", X, X + 1)
    [found] = input_files.read(tmp_path / "x.npz")
    assert not found.named
    np.testing.assert_array_equal(found.placed[1], X + 1)


def test_npy_and_bin_files_hold_one_input_without_a_name(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.bin").write_bytes(b"1234")
    np.testing.assert_array_equal(input_files.read(tmp_path / "x.npy")[0].single, X)
    assert input_files.read(tmp_path / "x.bin")[0].single == RawBytes(data=b"1234")


def test_safetensors_have_types_that_numpy_lacks(tmp_path: Path) -> None:
    half = np.array([[1.5, -2]], ml_dtypes.bfloat16)
    eighth = np.array([0.5], ml_dtypes.float8_e4m3fn)
    file = safetensors(tmp_path / "x.safetensors", {"a": ("BF16", half), "b": ("F8_E4M3", eighth), "c": ("F32", X)})
    [found] = input_files.read(file)
    for name, array in {"a": half, "b": eighth, "c": X}.items():
        assert found.named[name].dtype == array.dtype
        np.testing.assert_array_equal(found.named[name], array)


def test_polygraphy_saves_a_list_of_feeds(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps([{"x": polygraphy(X)}, {"x": polygraphy(X + 1)}]))
    first, second = input_files.read(tmp_path / "x.json")
    np.testing.assert_array_equal(first.named["x"], X)
    np.testing.assert_array_equal(second.named["x"], X + 1)
    assert second.source == "x.json[1]"


def test_a_folder_of_test_data_has_inputs_by_place_and_the_expected_outputs(tmp_path: Path) -> None:
    folder = tmp_path / "test_data_set_0"
    folder.mkdir()
    for place in (0, 1, 10):
        (folder / f"input_{place}.pb").write_bytes(numpy_helper.from_array(X + place).SerializeToString())
    (folder / "output_0.pb").write_bytes(numpy_helper.from_array(X).SerializeToString())
    (folder / "notes.txt").write_text("")
    [found] = input_files.read(folder)
    assert (sorted(found.placed), sorted(found.expected)) == ([0, 1, 10], [0])
    np.testing.assert_array_equal(input_files.decoded(found.placed[10], "tensor_type", "f"), X + 10)
    assert [file.name for file in input_files.files_of(folder)] == [
        "input_0.pb",
        "input_1.pb",
        "input_10.pb",
        "output_0.pb",
    ]
    assert len(input_files.read(tmp_path)) == 1  # the folder of a model


def test_sequences_and_optionals_are_lists_and_none() -> None:
    tensor = numpy_helper.from_array(X)
    sequence = helper.make_sequence("s", onnx.SequenceProto.TENSOR, [tensor, tensor])
    full = helper.make_optional("o", onnx.OptionalProto.TENSOR, tensor)
    nested = helper.make_optional("o", onnx.OptionalProto.SEQUENCE, sequence)
    empty = onnx.OptionalProto(name="o", elem_type=onnx.OptionalProto.TENSOR)

    def decoded(value: Any, kind: str) -> Any:
        return input_files.decoded(Message(data=value.SerializeToString()), kind, "x.pb")

    assert len(decoded(sequence, "sequence_type")) == 2
    assert len(decoded(nested, "optional_type")) == 2
    np.testing.assert_array_equal(decoded(full, "optional_type"), X)
    assert decoded(empty, "optional_type") is None


def test_strings_of_test_data_are_text() -> None:
    tensor = helper.make_tensor("s", TensorProto.STRING, [2], [b"a", "\u00e4".encode()])
    found = input_files.decoded(Message(data=tensor.SerializeToString()), "tensor_type", "x.pb")
    assert found.tolist() == ["a", "\u00e4"]


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object))
    (tmp_path / "y.npy").write_bytes(pickle.dumps(X))
    np.savez(tmp_path / "z.npz", x=np.array([{"a": 1}], dtype=object))
    for name in ("x.npy", "y.npy", "z.npz"):
        with pytest.raises(UsageError, match=rf"--inputs .*{name}: not a valid \.np. file: .*allow_pickle"):
            input_files.read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.npz", b"PK nothing", "not a valid .npz file"),
        ("x.npy", b"", "not a valid .npy file"),
        ("x.safetensors", b"\x05\0\0\0\0\0\0\0{", "its header is incomplete"),
        ("x.safetensors", b"\x02\0\0\0\0\0\0\0[]", "not a valid .safetensors file"),
        ("x.json", b"{", "not a valid .json file"),
        ("x.json", b'{"x": 1}', "it must be a list of objects"),
        ("x.json", b'[{"x": {"polygraphy_class": "Tensor"}}]', "x must be an array of numpy, got Tensor"),
        ("x.json", b'[{"x": [1, 2]}]', "not a valid .json file"),
        ("x.png", b"", "unknown format"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        input_files.read(tmp_path / name)


def test_a_folder_without_test_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a folder without input_0\.pb"):
        input_files.read(tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        input_files.read(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".safetensors", ".pb", ".bin", ".json"])
@pytest.mark.parametrize("target", ["fifo", "/dev/zero", "/proc/self/mem"])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, suffix: str, target: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / f"x{suffix}").symlink_to(target)
    with pytest.raises(UsageError, match="--inputs"):
        input_files.read(tmp_path / f"x{suffix}")


def test_an_archive_that_unpacks_to_more_than_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1 << 16)
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x=np.zeros(1 << 14, np.float32))
    assert path.stat().st_size < 1000
    with pytest.raises(UsageError, match=r"65,664 bytes don't fit into memory: 65,536 are available"):
        input_files.read(path)


def test_an_archive_of_other_files_than_arrays_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", b"no array")
    with pytest.raises(UsageError, match="x is no array"):
        input_files.read(tmp_path / "x.npz")


def test_folders_of_test_data_that_contain_each_other_end(tmp_path: Path) -> None:
    for name in ("test_data_set_0", "test_data_set_1"):
        (tmp_path / name).symlink_to(".")
    with pytest.raises(UsageError, match=r"a folder without input_0\.pb"):
        input_files.read(tmp_path)
