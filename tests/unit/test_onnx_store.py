from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isobench import paths
from isobench.builds import onnx_file, onnx_store, sizes
from isobench.builds.onnx_file import OnnxFile
from isobench.builds.onnx_store import StoredOnnx
from isobench.builds.workers import run_directory
from isobench.errors import ModelError
from isobench.planning.models import TensorSpec

NO_SIZES = sizes.Fixed(named={}, written=())


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def external(path: Path, location: str) -> Path:
    """A model of weights in another file, whose input has a size without a name."""
    weights = numpy_helper.from_array(np.eye(64, dtype=np.float32), "w")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 64]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", values[:1], values[1:], [weights])
    how = {"save_as_external_data": True, "location": location, "size_threshold": 0}
    onnx.save(helper.make_model(graph), path, **how)
    return path


def content(found: OnnxFile) -> str:
    return onnx_file.content_hash(found.path, found.external)


def keep(found: OnnxFile, content: str, fixed: sizes.Fixed, specs: Sequence[TensorSpec]) -> StoredOnnx:
    with run_directory("reference") as run_dir:
        return onnx_store.place(onnx_store.copy(found, content, fixed, specs, run_dir / "onnx"))


@pytest.mark.parametrize("location", ["m.data", "model.onnx", "inputs.msgpack", "build.json", "weights/w.bin"])
def test_weights_of_any_name_are_stored_beside_the_file(tmp_path: Path, location: str) -> None:
    (tmp_path / "weights").mkdir()
    found = onnx_file.read(external(tmp_path / "m.onnx", location))
    stored = keep(found, content(found), NO_SIZES, ())
    assert stored.file.parent.parent == paths.builds() / "onnx"
    copied = onnx_file.read(stored.file)
    assert (stored.sha256, [one.location for one in copied.external]) == (content(copied), [location])
    assert content(copied) == content(found)
    again = numpy_helper.to_array(onnx.load(stored.file).graph.initializer[0])
    assert np.array_equal(again, np.eye(64))


def test_a_file_is_stored_once(tmp_path: Path) -> None:
    found = onnx_file.read(external(tmp_path / "m.onnx", "m.data"))
    first = keep(found, content(found), NO_SIZES, ())
    before = first.file.with_name("m.data").stat().st_ino
    specs = sizes.settle(found, {}, {"x": (3, 64)})
    second = keep(found, content(found), sizes.fixed(found, specs), specs)
    assert second.file.parent == first.file.parent
    assert first.file.with_name("m.data").stat().st_ino == before
    assert sorted(path.name for path in first.file.parent.iterdir()) == ["m.data", "model.onnx", second.file.name]
    assert onnx_file.read(second.file).inputs[0].shape == (3, 64)
    assert onnx_file.read(first.file).inputs[0].shape == (None, 64)
    assert second.sha256 != first.sha256


def test_a_stored_file_does_not_change_with_the_users_own(tmp_path: Path) -> None:
    found = onnx_file.read(external(tmp_path / "m.onnx", "m.data"))
    stored = keep(found, content(found), NO_SIZES, ())
    (tmp_path / "m.data").write_bytes(bytes(64 * 64 * 4))
    assert numpy_helper.to_array(onnx.load(stored.file).graph.initializer[0])[0, 0] == 1
    changed = keep(found, content(found), NO_SIZES, ())
    assert changed.file.parent != stored.file.parent


def test_a_file_that_changes_while_it_is_copied_is_refused(tmp_path: Path) -> None:
    found = onnx_file.read(external(tmp_path / "m.onnx", "m.data"))
    before = content(found)
    (tmp_path / "m.data").write_bytes(bytes(64 * 64 * 4))
    with pytest.raises(ModelError, match="changed while it was copied"):
        keep(found, before, NO_SIZES, ())
    assert not list(paths.builds().rglob("*.onnx"))
    assert not list(paths.runs().iterdir())


def test_a_file_whose_build_failed_is_not_stored(tmp_path: Path) -> None:
    found = onnx_file.read(external(tmp_path / "m.onnx", "m.data"))
    with run_directory("reference") as run_dir:
        assert onnx_store.copy(found, content(found), NO_SIZES, (), run_dir / "onnx").file.is_file()
    assert not list(paths.builds().rglob("*.onnx"))
    assert not list(paths.runs().iterdir())


def test_a_file_that_another_process_stored_meanwhile_gets_the_sizes_beside_it(tmp_path: Path) -> None:
    found = onnx_file.read(external(tmp_path / "m.onnx", "m.data"))
    specs = sizes.settle(found, {}, {"x": (3, 64)})
    with run_directory("reference") as run_dir:
        copied = onnx_store.copy(found, content(found), sizes.fixed(found, specs), specs, run_dir / "onnx")
        first = keep(found, content(found), NO_SIZES, ())
        second = onnx_store.place(copied)
    assert second.file.parent == first.file.parent
    assert all(file.is_file() for file in second.files)
    assert onnx_file.read(second.file).inputs[0].shape == (3, 64)
