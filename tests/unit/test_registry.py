from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isobench.devices import Device
from isobench.errors import UsageError
from isobench.runtimes import registry

PLUGIN = """
from isobench.runtimes.base import BaseRT

class MyRT(BaseRT):
    pass

implements = {"runtimes": {%r: {"supported_devices": {"x86"}, "build_required": False, "RuntimeClass": MyRT}}}
"""


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    registry.runtimes.cache_clear()
    yield
    registry.runtimes.cache_clear()


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, *, name: str) -> None:
    """Lay a package down as an installer would."""
    (folder / "a_plugin_of_the_tests.py").write_text(PLUGIN % name)
    metadata = folder / "a_plugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text(
        "[console_scripts]\nx = y:z\n\n[isobench.plugins]\nmine = a_plugin_of_the_tests\n\n[other]\na = b\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "a_plugin_of_the_tests", raising=False)


def test_the_builtin_runtimes_come_through_the_plugins_door() -> None:
    assert {"ort", "torch-eager", "torch-compiled"} <= set(registry.runtimes())
    assert registry.get("ort", Device(family="x86")).build_required
    assert not registry.get("torch-eager", Device(family="x86")).build_required


def test_an_installed_package_brings_a_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, name="mine")
    assert registry.get("mine", Device(family="x86")).cls.__name__ == "MyRT"
    assert "ort" in registry.runtimes()


def test_two_plugins_with_one_runtime_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, name="ort")
    with pytest.raises(UsageError, match=r"two plugins bring a runtime 'ort': .*a_plugin_of_the_tests"):
        registry.runtimes()


def test_an_unknown_runtime_is_refused_with_those_that_are_there() -> None:
    with pytest.raises(UsageError, match="there is no runtime 'onnx'") as caught:
        registry.get("onnx", Device(family="x86"))
    assert "ort" in caught.value.hint
    assert "torch-compiled" in caught.value.hint


def test_a_runtime_on_a_device_that_it_does_not_support_is_refused() -> None:
    with pytest.raises(UsageError, match="ort doesn't run on nvidia: it runs on x86"):
        registry.get("ort", Device(family="nvidia"))
