from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sample_builds import make

from isobench import paths
from isobench.builds import cache
from isobench.builds.build import Build, ExportError
from isobench.errors import ModelError
from isobench.planning.models import Model


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def stored(home: Path, build: Build) -> Build:
    folder = home / "runs" / "made"
    folder.mkdir(parents=True)
    (folder / "inputs.msgpack").write_bytes(b"inputs")
    if build.onnx:
        (folder / "model.onnx").write_bytes(b"model")
    return cache.store(build, folder)


def test_a_build_is_found_again_as_it_was(home: Path, script: Path) -> None:
    made = stored(home, make(script))
    cache.remember("k", [made], [cache.Dependency.of(script)])
    [found] = cache.look_up("k", made.model) or []
    assert found.folder == home / "builds" / made.id
    assert json.dumps(found.to_json()) == json.dumps(made.to_json())


def test_a_build_that_was_forgotten_is_not_found_and_others_are(home: Path, script: Path) -> None:
    made = stored(home, make(script))
    cache.remember("k", [made], [cache.Dependency.of(script)])
    cache.forget("another")
    assert cache.look_up("k", made.model)
    cache.forget(made.id)
    assert cache.look_up("k", made.model) is None


def test_a_build_whose_script_has_changed_is_not_found(home: Path, script: Path) -> None:
    made = stored(home, make(script))
    cache.remember("k", [made], [cache.Dependency.of(script)])
    script.write_text("import  orch\n")
    assert cache.look_up("k", made.model) is None


def test_a_touched_file_with_the_same_content_is_unchanged(script: Path) -> None:
    dependency = cache.Dependency.of(script)
    os.utime(script, (1, 1))
    assert dependency.unchanged()


def test_a_large_file_is_read_again_only_when_its_time_has_changed(tmp_path: Path) -> None:
    large = tmp_path / "weights.bin"
    large.write_bytes(b"a" * (cache.LARGE_BYTES + 1))
    dependency = cache.Dependency.of(large)
    large.write_bytes(b"b" * (cache.LARGE_BYTES + 1))
    os.utime(large, ns=(1, 1))
    assert not dependency.unchanged()


def test_a_file_that_is_gone_has_changed(script: Path) -> None:
    dependency = cache.Dependency.of(script)
    script.unlink()
    assert not dependency.unchanged()


def test_a_build_that_was_removed_manually_is_not_found(home: Path, script: Path) -> None:
    made = stored(home, make(script))
    cache.remember("k", [made], [])
    shutil.rmtree(made.folder)
    assert cache.look_up("k", made.model) is None


def test_the_record_of_another_version_is_not_used(home: Path, script: Path) -> None:
    cache.remember("k", [], [])
    record = home / "builds" / "index" / "k.json"
    record.write_text(record.read_text().replace("isobench.index/1", "isobench.index/0"))
    assert cache.look_up("k", Model(path=script)) is None


def test_a_build_that_could_not_be_exported_says_why(script: Path) -> None:
    build = make(script, onnx=False, error=ExportError(message="aten::nonsense has no translation", traceback="line 3"))
    with pytest.raises(ModelError, match="model can't be exported to ONNX: aten::nonsense") as caught:
        build.require_onnx()
    assert caught.value.details == f"line 3\nlog: {build.folder / 'export.log'}"
    assert "torch-eager" in caught.value.hint


def test_a_build_without_its_onnx_file_is_not_found(home: Path, script: Path) -> None:
    made = stored(home, make(script))
    cache.remember("k", [made], [cache.Dependency.of(script)])
    assert made.onnx_file is not None
    made.onnx_file.unlink()
    assert cache.look_up("k", made.model) is None


def test_a_build_may_have_its_onnx_file_in_another_folder(script: Path) -> None:
    made = make(script)
    assert made.onnx
    made = replace(made, onnx=replace(made.onnx, file="../onnx/0123/model.onnx"))
    assert made.onnx_file == paths.builds() / "onnx" / "0123" / "model.onnx"
    assert made.reads == (made.folder, paths.builds() / "onnx" / "0123")
    assert make(script).reads == (made.folder,)
