"""What is built from source, and environments that come without a lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from isobench import environments
from isobench.cli import env_make
from isobench.environments import choice
from isobench.environments.specs import Spec
from isobench.environments.uv import sources
from isobench.errors import IsobenchError, ProvisionError
from isobench.system import nvidia


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spec:
    """The tensorrt environment as it comes, and no CUDA toolkit but what a test makes."""
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    return environments.spec("tensorrt")


def _toolkit(folder: Path, *headers: str) -> Path:
    for header in headers:
        (folder / "include").mkdir(parents=True, exist_ok=True)
        (folder / "include" / header).touch()
    return folder


def test_pycuda_is_refused_where_there_is_no_cuda_toolkit(spec: Spec) -> None:
    with pytest.raises(ProvisionError, match="pycuda is built from source, which needs the CUDA toolkit") as raised:
        sources.check(spec)
    assert "neither CUDA_HOME nor /usr/local/cuda has include/cuda.h" in raised.value.message
    assert "isobench env create tensorrt --provider conda" in raised.value.hint


def test_pycuda_is_refused_where_the_toolkit_is_not_whole_unless_its_user_has_set_that(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _toolkit(tmp_path / "cuda", "cuda.h")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ProvisionError, match=r"the one in .*cuda has no include/curand.h") as raised:
        sources.check(spec)
    assert "write `CUDA_ENABLE_CURAND = False` into ~/.aksetup-defaults.py" in raised.value.hint
    (tmp_path / ".aksetup-defaults.py").write_text("CUDA_ENABLE_CURAND = False\n")
    with pytest.raises(ProvisionError, match="compiler"):
        sources.check(spec)


def test_pycuda_is_refused_where_there_is_no_compiler(spec: Spec, tmp_path: Path) -> None:
    _toolkit(tmp_path / "cuda", "cuda.h", "curand.h")
    with pytest.raises(ProvisionError, match=r"which needs a C\+\+ compiler"):
        sources.check(spec)


@pytest.mark.usefixtures("spec")
def test_a_build_gets_the_path_of_the_toolkit(tmp_path: Path) -> None:
    assert sources.variables() == {}
    cuda = _toolkit(tmp_path / "cuda", "cuda.h")
    path = f"{cuda}/bin:{tmp_path}/bin"
    assert sources.variables() == {"CUDA_HOME": str(cuda), "CUDA_ROOT": str(cuda), "PATH": path}


def test_nothing_but_the_sdists_is_built_and_those_with_what_is_pinned(tmp_path: Path) -> None:
    (tmp_path / "sdists").write_text("PyCUDA\n")
    (tmp_path / "build-constraints.txt").touch()
    lock = tmp_path / "requirements.txt"
    lock.write_text("pycuda==2026.1\nnumpy==2.3.0\nmsgpack==1.1.0\n")
    spec = Spec(name="mine", folder=tmp_path, python="3.11", lock_file=lock)
    assert sources.arguments(spec) == [
        "--only-binary",
        "msgpack",
        "--only-binary",
        "numpy",
        "--build-constraints",
        tmp_path / "build-constraints.txt",
    ]


@pytest.mark.parametrize("provider", ["", "venv", "conda"])
def test_an_environment_without_a_lock_says_how_it_gets_one(
    spec: Spec, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    if spec.is_locked:
        pytest.skip("it has been locked here")
    monkeypatch.setenv("ISOBENCH_PROVIDER", provider)
    with pytest.raises(IsobenchError, match=r"isn't locked|has no conda-lock.yml") as raised:
        environments.find(environments.choose(spec, note=print))
    assert "isobench env lock tensorrt" in raised.value.hint
    assert choice.installable(spec) == []


def test_the_environments_for_gpus_say_so() -> None:
    named = {name: environments.spec(name).device for name in environments.names()}
    assert {name for name, device in named.items() if device == "nvidia"} == {
        "ort-cuda",
        "tensorrt",
        "tensorrt-rtx",
        "torch-cuda",
    }


def test_what_this_machine_has_no_use_for_is_left_out_of_all(
    spec: Spec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usable = env_make._usable
    monkeypatch.setattr(nvidia, "present", lambda: False)
    assert usable(environments.spec("ort"))
    assert not usable(environments.spec("ort-cuda"))
    assert capsys.readouterr().err == "ort-cuda: skipped: no NVIDIA GPU found\n"
    monkeypatch.setattr(nvidia, "present", lambda: True)
    assert usable(spec) == spec.is_locked
    if not spec.is_locked:
        said = "tensorrt: skipped: not locked yet (isobench env lock tensorrt)\n"
        assert capsys.readouterr().err == said
