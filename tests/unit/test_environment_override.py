"""A runtime in another environment: `ort@mine`."""

from __future__ import annotations

from pathlib import Path

import pytest
from manifests import manifest_of

from isobench.environments import Environment, store
from isobench.environments.manifest import Manifest
from isobench.errors import ProvisionError, UsageError
from isobench.runtimes import registry
from isobench.system.devices import Device

X86 = Device(family="x86")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ISOBENCH_ENVS", str(tmp_path / "envs"))
    mine = tmp_path / "envs" / "mine"
    mine.mkdir(parents=True)
    (mine / "python-version").write_text("3.11\n")
    return tmp_path / "home"


class Containing(Environment):
    """An environment that contains certain packages."""

    def manifest(self) -> Manifest:
        return manifest_of(dict.fromkeys(("numpy", *self.provider.split()), "1.0"))


def containing(packages: str) -> Environment:
    nowhere = Path("/nowhere")
    return Containing(
        name="mine",
        provider=packages,
        identity="",
        folder=nowhere,
        prefix=nowhere,
        python=nowhere,
        site_packages=nowhere,
        lock_sha256="",
    )


def test_a_runtime_takes_an_environment_by_its_name() -> None:
    entry = registry.get("ort@mine", X86)
    assert (entry.name, entry.environment_override, entry.environment) == ("ort@mine", "mine", None)
    assert (entry.cls.environment, entry.cls.__name__) == ("mine", "OrtRT")
    assert registry.get("ort", X86).cls.environment == "ort"
    assert entry.make({"graph_optimization": "basic"}).rt_args["graph_optimization"] == "basic"


def test_an_unknown_environment_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UsageError, match="there is no environment 'min'"):
        registry.get("ort@min", X86)


def test_an_unknown_runtime_is_refused_with_any_environment() -> None:
    with pytest.raises(UsageError, match="unknown runtime 'orf'"):
        registry.get("orf@mine", X86)


def test_an_environment_without_the_runtimes_package_is_refused() -> None:
    entry = registry.get("ort@mine", X86)
    for packages in ("onnxruntime", "onnxruntime-openvino"):
        entry.check_package(containing(packages))
    with pytest.raises(ProvisionError) as caught:
        entry.check_package(containing("torch"))
    assert caught.value.message.startswith("ort@mine can't run: the environment mine contains no onnxruntime or ")
    assert "isobench env list" in caught.value.hint
    registry.get("ort", X86).check_package(containing("torch"))  # its own environment is not checked


def test_the_folder_of_an_environment_must_exist(home: Path) -> None:
    assert store.in_folder("ort-venv-000000000000") is None
    with pytest.raises(UsageError, match="there is no environment 'ort-venv-000000000000'"):
        registry.get("ort@ort-venv-000000000000", X86)
