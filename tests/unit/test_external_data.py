from __future__ import annotations

import os
from pathlib import Path

import pytest
from onnx import ModelProto, TensorProto, helper

from isobench.builds.external_data import external_files
from isobench.errors import ModelError


def external(location: str, **place: str) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **place}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def model(*locations: str) -> ModelProto:
    return helper.make_model(helper.make_graph([], "g", [], [], [external(location) for location in locations]))


def test_weights_of_subgraphs_functions_and_constants_are_found(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).write_bytes(bytes(4))
    branch = helper.make_graph([], "b", [], [], [external("a")])
    choice = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    constant = helper.make_node("Constant", [], ["w"], value=external("b"))
    function = helper.make_function("own", "F", [], ["w"], [constant], [helper.make_opsetid("", 20)])
    inner = helper.make_node("Constant", [], ["v"], value=external("c"))
    graph = helper.make_graph([choice, inner], "g", [], [], [external("d")])
    made = helper.make_model(graph, functions=[function])
    assert [file.location for file in external_files(tmp_path / "m.onnx", made)] == ["a", "b", "c", "d"]


def test_a_snapshot_of_hugging_faces_cache_leads_to_its_blobs(tmp_path: Path) -> None:
    blobs, snapshot = (
        tmp_path / "models--acme--m" / "blobs",
        tmp_path / "models--acme--m" / "snapshots" / "abc" / "onnx",
    )
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (blobs / "aaa").write_bytes(b"model")
    (blobs / "bbb").write_bytes(b"weights")
    (snapshot / "model.onnx").symlink_to("../../../blobs/aaa")
    (snapshot / "model.onnx_data").symlink_to("../../../blobs/bbb")
    [found] = external_files(snapshot / "model.onnx", model("model.onnx_data"))
    # A build depends on the link: it may lead to another file later.
    assert (found.location, found.path) == ("model.onnx_data", snapshot / "model.onnx_data")
    assert found.path.resolve() == blobs / "bbb"
    (snapshot / "model.onnx").unlink()
    (snapshot / "model.onnx").write_bytes(b"changed by the user")
    assert external_files(snapshot / "model.onnx", model("model.onnx_data")) == (found,)


def test_a_link_to_a_model_has_its_weights_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "m.onnx").write_bytes(b"")
    (tmp_path / "there" / "w").write_bytes(b"")
    (tmp_path / "link.onnx").symlink_to("there/m.onnx")
    assert [file.path for file in external_files(tmp_path / "link.onnx", model("w"))] == [tmp_path / "there" / "w"]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("../secret", "outside of its own folder"),
        ("sub/../../secret", "outside of its own folder"),
        ("/etc/passwd", "outside of its own folder"),
        ("C:\\secret", "outside of its own folder"),
        ("", "outside of its own folder"),
        ("link", "a link to .*/secret, outside of its own folder"),
        ("folder/secret", "a link to .*/secret, outside of its own folder"),
        ("device", "which isn't a file"),
        ("loop", "which can't be read|which is missing"),
        ("nothing", "which is missing"),
        ("a" * 5000, "which can't be read: File name too long"),
        ("nul\0byte", "which can't be read|which is missing"),
        (".", "outside of its own folder|isn't a file"),
    ],
)
def test_weights_elsewhere_are_refused(tmp_path: Path, location: str, message: str) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "link").symlink_to("../secret")
    (folder / "folder").symlink_to("..")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "device")
    with pytest.raises(ModelError, match=message) as caught:
        external_files(folder / "m.onnx", model(location))
    assert len(caught.value.message) < 600
    assert caught.value.message.replace(str(tmp_path), "").isprintable()


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 99\n",
            "is a git-lfs pointer",
            "git lfs pull",
        ),
        (b"", "which is empty", "download it again"),
        (bytes(range(7)), "which has 7 bytes, but 1,004 are needed", "download it again"),
    ],
)
def test_weights_that_are_not_there_completely_are_refused(
    tmp_path: Path, content: bytes, message: str, hint: str
) -> None:
    (tmp_path / "w").write_bytes(content)
    tensors = [external("w", offset="0", length="4"), external("w", offset="1000", length="4")]
    made = helper.make_model(helper.make_graph([], "g", [], [], tensors))
    with pytest.raises(ModelError, match=message) as caught:
        external_files(tmp_path / "m.onnx", made)
    assert hint in caught.value.hint
    (tmp_path / "w").write_bytes(bytes(1004))
    assert len(external_files(tmp_path / "m.onnx", made)) == 1


@pytest.mark.parametrize("place", ["-1", "\u00b2", "\u0661", "9" * 10_000, "1e3", "0x10"])
@pytest.mark.parametrize("key", ["offset", "length"])
def test_a_place_in_external_data_that_is_no_number_is_refused(tmp_path: Path, key: str, place: str) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(4))
    made = helper.make_model(helper.make_graph([], "g", [], [], [external("w.bin", **{key: place})]))
    with pytest.raises(ModelError, match=f"their {key} there isn't a number"):
        external_files(tmp_path / "m.onnx", made)
