"""A library with operators that ONNX Runtime doesn't have: part of a Case's identity, and needed by its build."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from isobench import api
from isobench.builds.make import _key
from isobench.errors import UsageError
from isobench.executors.cases import Cases
from isobench.planning.models import Model
from isobench.planning.settings import Settings
from isobench.runtimes.builtin import OrtRT
from isobench.runtimes.nvidia import OrtCudaRT

NO_PROGRESS: Any = None


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "ops.so"
    path.write_bytes(b"one")
    return path


@pytest.mark.parametrize("runtime", [OrtRT, OrtCudaRT])
def test_the_arguments_have_the_librarys_path_and_content(runtime: Any, library: Path) -> None:
    first = runtime(custom_op_library=library).rt_args
    assert first["custom_op_library"] == str(library)
    library.write_bytes(b"two")
    second = runtime(custom_op_library=library).rt_args
    assert first["custom_op_library_sha256"] != second["custom_op_library_sha256"]
    assert "custom_op_library" not in runtime().rt_args, "without one, the keys of earlier results stay the same"


def test_a_path_is_relative_to_the_users_folder(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(library.parent)
    runtime = OrtRT(custom_op_library=Path("ops.so"))
    assert runtime.rt_args["custom_op_library"] == str(library)
    assert runtime.reads() == [library]
    assert OrtRT().reads() == []


def test_a_library_that_does_not_exist_is_refused_before_any_work(library: Path) -> None:
    with pytest.raises(UsageError, match=r"custom_op_library .*nope\.so can't be read: No such file"):
        OrtRT(custom_op_library=library.with_name("nope.so"))


def test_runtimes_are_built_for_by_their_libraries(library: Path) -> None:
    other = library.with_name("other.so")
    other.write_bytes(b"two")
    named = [f"ort:custom_op_library={path}" for path in (library, other)]
    onnx, script = Model(path=Path("m.onnx")), Model(path=Path("m.py"))

    def groups(model: Model, *runtimes: str) -> list[tuple[Path | None, int]]:
        plan = api.plan([__file__], runtimes=list(runtimes), device="x86")
        return [(path, len(entries)) for path, entries in Cases(plan, NO_PROGRESS).by_library(model).items()]

    assert groups(onnx, "ort", "openvino") == [(None, 2)]
    assert groups(onnx, "openvino", *named) == [(library, 2), (other, 1)], "one without a library shares the first"
    assert groups(script, *named) == [(None, 2)], "PyTorch computes the expected outputs"


def test_a_build_is_of_one_library(library: Path) -> None:
    environment: Any = SimpleNamespace(identity="0" * 64)
    with_library, without = (
        _key(Model(path=Path("m.onnx"), custom_op_library=path), "", True, environment, Settings(threads=1))
        for path in (library, None)
    )
    assert with_library != without
