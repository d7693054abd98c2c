from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import plugin_world
import pytest

from isobench import api, plugins
from isobench.cli.main import main
from isobench.environments import specs, store
from isobench.errors import ProvisionError, UsageError, WorkerError
from isobench.runtimes import registry
from isobench.runtimes.worker_rt import WorkerRT
from isobench.system import devices
from isobench.system.devices import Device

PLUGIN = """
from isobench.runtimes.worker_rt import WorkerRT

class MyRT(WorkerRT):
    environment = "mine"
    worker = "my_worker.py"

class OnOne(MyRT):
    pass

class OnEither(MyRT):
    @classmethod
    def on(cls, device):
        return OnOne if device.part == "one" else cls

def check():
    raise RuntimeError("the accelerator is switched off")

implements = {"runtimes": {%r: {"supported_devices": %s, "build_required": False, "RuntimeClass": MyRT%s}}}
"""
ALONE = """
from isobench.runtimes.base import BaseRT

class MyRT(BaseRT):
    def _setup(self): pass
    def benchmark(self): pass
    mean_latency = throughput = device_name = _setup
"""
X86 = Device(family="x86")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    registry.forget()
    yield
    registry.forget()


def install(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str = "mine",
    devices: str = "{'x86'}",
    more: str = "",
    **options: str,
) -> Path:
    return plugin_world.install(folder, monkeypatch, PLUGIN % (name, devices, more), **options)


def listed(capsys: pytest.CaptureFixture[str]) -> str:
    """What `isobench plugins` prints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["isobench", "plugins"])
        with pytest.raises(SystemExit):
            main()
    return capsys.readouterr().out


def test_the_builtin_runtimes_are_a_plugin_like_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert plugins.announced()[0].module == "isobench.runtimes.builtin"
    assert {"ort", "torch-eager", "torch-compiled"} <= set(registry.runtimes())
    assert registry.get("ort", X86).build_required
    assert not registry.get("torch-eager", X86).build_required
    assert registry.get("ort", X86).cls.worker_file().name == "ort_worker.py"  # type: ignore[attr-defined]
    assert "ort (x86, cpu" in listed(capsys)


def test_an_installed_package_provides_a_runtime_with_its_worker_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"workers__my_worker_py": "", "envs__mine__python-version": "3.11\n"}
    folder = install(tmp_path, monkeypatch, **files)
    entry = registry.get("mine", X86)
    assert issubclass(entry.cls, WorkerRT)
    assert entry.cls.worker_file() == folder / "workers" / "my_worker.py"
    assert specs.spec("mine").folder == folder / "envs" / "mine"
    assert {"mine", "ort"} <= set(specs.names())
    assert "a_plugin_of_the_tests  (a-plugin-of-the-tests 1.0, a_plugin_of_the_tests)\n  runtimes   mine (x86)" in (
        listed(capsys)
    )


def test_a_missing_worker_is_reported_with_the_folder_to_put_it_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch)
    cls = registry.get("mine", X86).cls
    assert issubclass(cls, WorkerRT)
    with pytest.raises(UsageError, match=r"worker 'my_worker\.py' of a_plugin_of_the_tests\.MyRT not found") as caught:
        cls.worker_file()
    assert "workers/" in caught.value.hint


def test_a_derived_class_uses_the_worker_of_isobench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = PLUGIN.replace('worker = "my_worker.py"', 'worker = "ort_worker.py"').replace(
        "import WorkerRT\n", "import WorkerRT as Base\nfrom isobench.runtimes.builtin import OrtRT as WorkerRT\n"
    )
    plugin_world.install(tmp_path, monkeypatch, code % ("mine", ["x86"], ""))
    cls = registry.get("mine", X86).cls
    assert issubclass(cls, WorkerRT)
    assert cls.worker_file() == registry.get("ort", X86).cls.worker_file()  # type: ignore[attr-defined]


def test_two_plugins_with_the_same_runtime_are_reported_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, monkeypatch, name="ort")
    with pytest.raises(UsageError, match=r"two plugins provide a runtime 'ort': .*builtin and a_plugin_of_the_tests"):
        registry.get("ort", X86)
    assert registry.get("torch-eager", X86).name == "torch-eager", "the others work"
    assert "the runtime 'ort': another plugin provides one of that name" in listed(capsys)


def test_two_packages_with_the_same_environment_are_reported_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", monkeypatch, **{"envs__ort__python-version": "3.11\n"})
    with pytest.raises(UsageError, match=r"two packages provide an environment 'ort': .*a_plugin_of_the_tests"):
        specs.spec("ort")
    own = tmp_path / "own" / "ort"
    own.mkdir(parents=True)
    (own / "python-version").write_text("3.11\n")
    monkeypatch.setenv("ISOBENCH_ENVS", str(tmp_path / "own"))
    assert specs.spec("ort").folder == own, "the user's own goes before both"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import a_module_that_nobody_has", "import failed: ModuleNotFoundError: No module named 'a_module_"),
        ("raise SystemExit(3)", "import failed: SystemExit: 3"),
        ("x = 1", "import failed: AttributeError: module 'a_plugin_of_the_tests' has no attribute 'implements'"),
        ("implements = []", "'implements' must be a dict, got list"),
        (
            "implements = {'runtime': {}}",
            "'implements' has unknown keys: runtime; the keys are runtimes, tools, sequences",
        ),
        ("implements = {'runtimes': []}", "'runtimes' must be a dict, got list"),
        ("implements = {'runtimes': {'x': 1}}", "the runtime 'x': the description must be a dict, got int"),
        ("implements = {'runtimes': {'x': {'device': 1}}}", "the runtime 'x': unknown key device; the keys are"),
        ("implements = {'runtimes': {'x': {'RuntimeClass': int}}}", "must be a class derived from BaseRT"),
        (
            PLUGIN % ("x", "'x86'", ""),
            "the runtime 'x': supported_devices must be families, or family -> part -> configs, got 'x86'",
        ),
        (
            PLUGIN % ("x", "[]", ""),
            "the runtime 'x': supported_devices must be families, or family -> part -> configs, got []",
        ),
        (PLUGIN % ("x", "['x86']", ", 'requirement_check': 1"), "requirement_check must be callable, got int"),
        (
            PLUGIN.replace("WorkerRT", "BaseRT").replace("worker_rt", "base") % ("x", "['x86']", ""),
            "MyRT doesn't implement _setup, device_name, mean_latency, throughput",
        ),
        (
            PLUGIN.replace("class MyRT(WorkerRT):", ALONE) % ("x", "['x86']", ", 'docker_required': True"),
            "docker_required needs a WorkerRT: MyRT has no worker that could run in a container",
        ),
    ],
)
def test_a_broken_plugin_is_reported_with_the_reason_and_the_others_work(
    code: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin_world.install(tmp_path, monkeypatch, code)
    assert registry.get("ort", X86).name == "ort"
    said = listed(capsys)
    assert "  broken     " in said
    assert reason in said


def test_an_unknown_runtime_is_refused_with_those_that_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin_world.install(tmp_path, monkeypatch, "import a_module_that_nobody_has")
    with pytest.raises(UsageError, match="unknown runtime 'onnx'") as caught:
        registry.get("onnx", X86)
    assert "ort" in caught.value.hint
    assert "torch-compiled" in caught.value.hint
    assert "Failed to load: a_plugin_of_the_tests (import failed" in caught.value.hint


def test_a_runtime_on_an_unsupported_device_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, devices="('npu', 'x86')")
    with pytest.raises(UsageError, match="ort doesn't support npu, only x86, cpu") as caught:
        registry.get("ort", Device(family="npu"))
    assert caught.value.hint == "Runtimes for npu: mine."
    with pytest.raises(UsageError, match="no installed runtime supports abacus"):
        registry.default(Device(family="abacus"))


def test_the_default_is_the_first_that_lists_the_family_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, devices="['npu', 'x86']")
    assert registry.default(registry.device("x86")) == "ort"
    assert registry.default(registry.device("cpu")) == "ort"
    assert registry.default(registry.device("npu")) == "mine"
    assert api.plan([__file__], device="npu").runtimes[0].name == "mine"


def test_the_first_listed_part_and_config_are_the_defaults_and_others_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, devices="{'npu': {'two': ['fast', 'slow'], 'one': []}}")
    found = {text: str(registry.get("mine", registry.device(text)).device) for text in ("npu", "npu::one", "npu::two")}
    assert found == {"npu": "npu::two::fast", "npu::one": "npu::one", "npu::two": "npu::two::fast"}
    assert str(registry.get("mine", registry.device("npu::two::slow")).device) == "npu::two::slow"
    for text, message, hint in (
        ("npu::three", "mine doesn't support the part 'three' of npu", "Its parts are: two, one."),
        ("npu::two::wild", "mine doesn't support the config 'wild' of npu::two", "Its configs are: fast, slow."),
        ("npu::one::fast", "mine doesn't support the config 'fast' of npu::one", "It has no configs."),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            registry.get("mine", registry.device(text))
        assert caught.value.hint == hint


def test_a_runtime_may_have_another_class_for_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = PLUGIN.replace('RuntimeClass": MyRT', 'RuntimeClass": OnEither')
    plugin_world.install(tmp_path, monkeypatch, code % ("mine", "{'npu': ['one', 'two']}", ""))
    assert registry.get("mine", registry.device("npu")).cls.__name__ == "OnOne"
    assert registry.get("mine", registry.device("npu::two")).cls.__name__ == "OnEither"


def test_the_message_of_a_requirement_check_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, more=", 'requirement_check': check")
    with pytest.raises(WorkerError, match=r"^mine isn't available: the accelerator is switched off$"):
        registry.get("mine", X86).require()


def test_a_runtime_may_need_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, more=", 'docker_required': True")
    entry = registry.get("mine", X86)
    assert entry.docker_required
    elsewhere = store.expected(specs.spec("ort"))
    with pytest.raises(ProvisionError, match=r"mine runs only in a container, but ort-venv-\w+ was"):
        entry.check_package(elsewhere)


def test_the_x86_device_is_refused_on_other_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "architecture", lambda: "aarch64")
    with pytest.raises(UsageError, match="no device x86: this machine's processor is aarch64") as caught:
        api.plan([__file__])
    assert "--device cpu" in caught.value.hint
    assert api.plan([__file__], device="cpu").runtimes[0].name == "ort"
