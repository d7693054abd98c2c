"""Plugins as real packages: built by pip, installed into a virtual environment, and used to measure."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from isobench.environments import Environment

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "plugins"
SCRIPT = f"{ROOT / 'examples' / 'models' / 'two_models.py'}::e01e279c"
QUICK = ["--iterations", "10", "--warmup", "3", "--json"]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a virtual environment that has isobench, and the example plugins installed."""
    folder = tmp_path_factory.mktemp("plugins")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    where = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    place = subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip()
    # isobench and what it needs are those of the tests.
    (Path(place) / "isobench-of-the-tests.pth").write_text(
        f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    )
    for example in sorted(EXAMPLES.iterdir()):
        install(python, shutil.copytree(example, folder / example.name))
    return python


def install(python: Path, package: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", python, "install"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, *offline, package], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(autouse=True)
def environments_of_isobench(home: Path, provisioned: Callable[[str], Environment]) -> None:
    for name in ("ort", "torch", "onnx"):
        provisioned(name)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in "xy")
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [0.1, 0.2, 0.3, 0.4])
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Relu", ["p"], ["y"])]
    file = tmp_path / "small.onnx"
    graph = helper.make_graph(nodes, "small", [x], [y], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file


def output_of(python: Path, *arguments: str | Path, code: int = 0, **variables: str) -> str:
    done = subprocess.run(
        [python, "-m", "isobench", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, **variables},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout or done.stderr


def measured(python: Path, *arguments: str | Path, code: int = 0, **variables: str) -> dict[str, Any]:
    [result] = json.loads(output_of(python, *arguments, *QUICK, code=code, **variables))
    found: dict[str, Any] = result
    return found


def in_sequence(python: Path, model: Path, *words: str) -> dict[str, Any]:
    [result] = json.loads(output_of(python, "sequence", "--json", "-i", model, *words))
    found: dict[str, Any] = result
    return found


def test_the_examples_are_listed_with_everything_they_provide(site: Path) -> None:
    listed = output_of(site, "plugins")
    for line in (
        "onnx-reference  (isobench-onnx-reference 1.0, isobench_onnx_reference)",
        "  runtimes   onnx-reference (cpu, x86)",
        "  runtimes   shared-ort (shared-cpu)\n  sequences  lean",
        "tools      round-weights\n  sequences  rounded",
    ):
        assert line in listed
    assert "broken" not in listed
    assert "onnx-reference" in output_of(site, "env", "list")
    explained = " ".join(output_of(site, "benchmark", "-h").split())
    assert "x86 ort (default), torch-eager, torch-compiled" in explained
    assert "shared-cpu::polite shared-ort; configs: all, basic" in explained


def test_a_runtime_with_its_own_environment_and_worker(site: Path, model: Path) -> None:
    result = measured(site, "run", "-r", "onnx-reference", "--rt-args", "check_shapes::true", model)
    assert result["outcome"]["correctness"]["reasons"] == []
    assert result["environment"]["name"] == "onnx-reference"
    assert any(package == f"onnx=={result['runtime']['version']}" for package in result["environment"]["packages"])
    assert not any(package.startswith("onnxruntime==") for package in result["environment"]["packages"])
    assert result["runtime"]["arguments"] == {"check_shapes": True}
    assert result["outcome"]["facts"]["nodes"] == 2
    assert result["outcome"]["stats"]["nodes_per_s"] > 0
    # Its status_stats stand with the latency, in the table and where the result is shown.
    table = output_of(site, "show", result["id"])
    assert "onnx-reference: nodes 2, nodes_per_s " in table
    asked = output_of(site, "run", "-r", "onnx-reference", "--rt-args", "optimised", "--json", model, code=2)
    assert "Its arguments are: check_shapes (bool; default False)." in asked


def test_parts_configs_and_a_default_sequence(site: Path) -> None:
    polite = measured(site, "run", "--device", "shared-cpu", SCRIPT)
    assert (polite["runtime"]["name"], polite["device"]["device"]) == ("shared-ort", "shared-cpu::polite::all")
    assert polite["device"]["name"].endswith(", polite")
    assert polite["runtime"]["arguments"].items() >= {"graph_optimization": "all", "spinning": False}.items()
    assert polite["outcome"]["facts"]["spinning"] is False
    assert [step["tool"] for step in polite["steps"]] == ["discover", "export-pytorch", "optimize-ort", "benchmark"]
    assert polite["outcome"]["correctness"]["ok"]
    greedy = measured(site, "run", "--device", "shared-cpu::greedy", SCRIPT)
    assert (greedy["device"]["device"], greedy["outcome"]["facts"]["spinning"]) == ("shared-cpu::greedy::all", True)
    unknown = output_of(site, "run", "--device", "shared-cpu::greedy::basic", SCRIPT, code=2)
    assert "shared-ort doesn't support the config 'basic' of shared-cpu::greedy" in unknown
    assert "Its configs are: all." in unknown


def test_a_requirement_is_checked_before_each_benchmark(site: Path, model: Path) -> None:
    result = measured(site, "run", "--device", "shared-cpu", model, code=5, SHARED_CPU_ALONE="1")
    assert result["outcome"]["kind"] == "requirement"
    assert result["outcome"]["message"] == (
        "shared-ort isn't available: this processor isn't shared (SHARED_CPU_ALONE is set)"
    )


def test_a_tool_with_its_own_worker(site: Path, model: Path) -> None:
    tools = ["load-onnx", "round-weights", "--bits"]
    result = in_sequence(site, model, *tools, "20", "verify-export", "benchmark", *QUICK[:-1])
    assert result["outcome"]["correctness"]["ok"]
    assert result["outcome"]["correctness"]["worst_absolute"] > 0, "they were rounded"
    assert [step for step in result["steps"] if step["alters"]] == [
        {"tool": "round-weights", "options": {"bits": 20}, "alters": True}
    ]
    wrong = output_of(site, "sequence", "-i", model, *tools, "1", "verify-export", code=3)
    assert "of the ONNX file of small differ from the model's" in wrong
    refused = output_of(site, "sequence", "-i", model, *tools, "99", code=5)
    assert "bits must be from 0 to 23, got 99" in refused


def test_a_new_plugin_passes_its_own_test(site: Path, tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "my-runtime"
    output = output_of(site, "plugin", "new", "my-runtime", "--folder", folder)
    assert f"wrote {folder / 'my_runtime' / 'workers' / 'my_runtime_worker.py'}" in output
    assert f"pip install --editable {folder}" in output
    install(site, folder)
    own = ["-p", "no:cacheprovider", "--basetemp", tmp_path / "tests"]  # elsewhere, it removes what earlier ones left
    done = subprocess.run([site, "-m", "pytest", "-q", *own, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    assert "there is a runtime 'my-runtime' already" in output_of(site, "plugin", "new", "my-runtime", code=2)


NIGHT_SHIFT = """
from isobench.errors import UsageError
from isobench.executors.local_sweep import LocalSweepExecutor


class NightShift(LocalSweepExecutor):
    def __init__(self, options):
        super().__init__({})
        if options.get("shift") != "late":
            raise UsageError(f"no shift {options.get('shift')!r}", hint="The shifts are: late.")

    def run(self, folder, tasks, progress):
        progress.note(f"the late shift measures {len(tasks)} tasks")
        yield from super().run(folder, tasks, progress)
"""
SETUP_CFG = """
[metadata]
name = night-shift
version = 1.0
[options]
py_modules = night_shift
[options.entry_points]
isobench.executors =
    night-shift = night_shift:NightShift
    day-shift = a_module_that_nobody_has:DayShift
"""
SUITE = """
schema = "isobench.suite/1"
models = ["small.onnx"]
device = "shared-cpu"
executor = "night-shift"
night-shift.shift = "late"
[settings]
iterations = 2
warmup = 1
threads = 1
"""


def test_an_executor_of_a_package_works_off_a_sweep_of_a_runtime_that_prepares_its_models_itself(
    site: Path, model: Path, tmp_path: Path
) -> None:
    package = tmp_path / "night-shift"
    package.mkdir()
    (package / "night_shift.py").write_text(NIGHT_SHIFT)
    (package / "setup.cfg").write_text(SETUP_CFG)
    (package / "pyproject.toml").write_text('[build-system]\nrequires = ["setuptools"]\n')
    install(site, package)
    suite = model.with_name("night.toml")
    suite.write_text(SUITE)
    folder = tmp_path / "night"
    output_of(site, "sweep", suite, "--output", folder)
    [file] = (folder / "results").glob("*/result.json")
    result = json.loads(file.read_text())
    assert (result["runtime"]["name"], result["outcome"]["status"]) == ("shared-ort", "measured")
    refused = output_of(site, "sweep", suite, "--executor-option", "shift=early", code=2)
    assert "no shift 'early'" in refused
    broken = output_of(site, "sweep", suite, "--executor", "day-shift", code=2)
    assert "the executor 'day-shift' of night-shift 1.0 can't be loaded: ModuleNotFoundError" in broken
    unknown = output_of(site, "sweep", suite, "--executor", "nightshift", code=2)
    assert "unknown executor 'nightshift'; did you mean night-shift?" in unknown
