"""`isobench run` as a user types it, on real models in real environments."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

import isobench
from isobench import results
from isobench.builds import onnx_inputs
from isobench.environments import Environment
from isobench.errors import ResultError, UsageError
from isobench.failures import Ending
from isobench.planning.models import Model
from isobench.results import Failed, Measured

pytestmark = pytest.mark.integration

SCRIPTS = Path(__file__).parents[1] / "samples" / "scripts"
EXAMPLES = Path(__file__).parents[2] / "examples" / "models"
ALL = ["-r", "ort", "-r", "torch-eager", "-r", "torch-compiled"]
# Beside other tests, the search for undisturbed time would take its ten seconds each time.
BRIEF = ("--max-time", "1")


@pytest.fixture(autouse=True)
def environment_of_torch(home: Path, provisioned: Callable[[str], Environment]) -> None:
    provisioned("ort")
    provisioned("torch")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small .onnx file: twice the input, plus one."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 4])
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    nodes = [helper.make_node("Add", ["x", "x"], ["twice"]), helper.make_node("Add", ["twice", "one"], ["y"])]
    graph = helper.make_graph(nodes, "by-hand", [x], [y], [one])
    path = tmp_path / "small file.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def isobench_(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "isobench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def measured(*arguments: str | Path, code: int = 0) -> list[dict[str, Any]]:
    done = isobench_("run", "--json", *BRIEF, *arguments)
    assert done.returncode == code, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_an_onnx_file_is_measured_and_everything_about_it_is_saved(model: Path, home: Path) -> None:
    [result] = measured(model, "--dim", "rows=3", "--iterations", "20")
    outcome = result["outcome"]
    assert outcome["correctness"]["ok"]
    assert outcome["latency"]["iterations"] == 20
    assert outcome["latency"]["throughput_ips"] == pytest.approx(1 / outcome["latency"]["mean_s"])
    assert outcome["runs"][0]["threads"]["runtime"] == result["settings"]["threads"]
    folder = home / "results" / result["id"]
    saved = results.load(str(folder))
    assert json.loads(json.dumps(saved.to_json())) == result
    [samples] = results.samples_ns(saved, folder)
    [run] = outcome["runs"]
    assert len(samples) * run["group"] == 20
    assert sum(samples) / 20 / 1e9 == pytest.approx(outcome["latency_all"]["mean_s"])
    assert (folder / "run-1" / "worker.log").exists()
    assert not list((home / "runs").iterdir()), "nothing is left of a run that went well"


def test_a_result_records_machine_runtime_and_model(model: Path) -> None:
    [result] = measured(model, "--dim", "rows=3")
    environment, worker = result["environment"], result["provenance"]["worker"]
    assert environment["provider"] == "venv"
    assert len(environment["lock_sha256"]) == len(environment["identity"]) == 64
    assert any(package.startswith("onnxruntime==") for package in environment["packages"])
    assert sorted(worker["distributions"]) == sorted(environment["packages"])
    assert worker["executable"].startswith(str(Path(worker["executable"]).parents[1]))
    assert any(
        "libonnxruntime" in library["path"] or "onnxruntime_pybind" in library["path"]
        for library in worker["native_libraries"]
    )
    assert worker["environment"]["OMP_NUM_THREADS"] == str(result["settings"]["threads"])
    host = result["provenance"]["host"]
    assert host["cpu"]["model"]
    assert host["affinity"] == sorted(os.sched_getaffinity(0))
    assert result["command"][1:3] == ["run", "--json"]
    assert result["model"]["onnx_sha256"]
    assert result["model"]["inputs"] == [{"name": "x", "dtype": "float32", "shape": [3, 4]}]
    assert result["runtime"]["version"] in str(environment["packages"])
    assert result["started_at"] < result["ended_at"]


def test_the_table_shows_latency_correctness_and_verdict(model: Path, home: Path) -> None:
    done = isobench_("run", *BRIEF, model, "--dim", "rows=3")
    assert done.returncode == 0, done.stderr
    for text in ("small file::", "(x=float32[3, 4])", "mean ms", "median ms", "\u00b1", "p99 ms", "inf/s", "correct"):
        assert text in done.stdout
    assert f"results in {home / 'results'}" in done.stdout
    assert "small file on ort: measuring" in done.stderr


def test_a_script_with_two_models_is_measured_on_every_runtime() -> None:
    found = measured(*ALL, EXAMPLES / "two_models.py")
    assert [(one["model"]["name"], one["runtime"]["name"]) for one in found] == [
        (name, runtime)
        for name in ("two-models.Perceptron", "two-models.Tagger")
        for runtime in ("ort", "torch-eager", "torch-compiled")
    ]
    assert all(one["outcome"]["correctness"]["ok"] for one in found)
    for one in found[:3]:
        assert {result["model"]["inputs_sha256"] for result in found[:3]} == {one["model"]["inputs_sha256"]}
        assert {result["model"]["weights_sha256"] for result in found[:3]} == {one["model"]["weights_sha256"]}
    [compiled] = [one for one in found[:3] if one["runtime"]["name"] == "torch-compiled"]
    assert compiled["outcome"]["runs"][0]["cold_start"]["compile_s"] > 0
    assert compiled["outcome"]["facts"]["compile_cache"] in {"cold", "warm"}
    assert compiled["outcome"]["facts"]["graphs"] > 0
    assert compiled["outcome"]["facts"]["weights_sha256"] == compiled["model"]["weights_sha256"]


def test_compiled_code_is_cached_and_marked_as_cached() -> None:
    first, again = (
        measured("-r", "torch-compiled", f"{EXAMPLES / 'two_models.py'}::e01e279c")[0]["outcome"] for _ in range(2)
    )
    assert again["facts"]["compile_cache"] == "warm"
    assert again["facts"]["compile_cache_hits"] > 0
    assert first["facts"]["compile_cache"] in {"cold", "warm"}


def test_a_transformer_with_inline_dependencies_is_measured_on_every_runtime(home: Path) -> None:
    arguments = "--script-args=--layers=1 --tokens=16"
    found = measured(*ALL, EXAMPLES / "bert.py", arguments, "--label", "task::nlp")
    assert [one["outcome"]["correctness"]["ok"] for one in found] == [True] * 3
    environments = {one["runtime"]["name"]: one["environment"] for one in found}
    assert environments["ort"]["name"] == "ort"
    for runtime in ("torch-eager", "torch-compiled"):
        assert environments[runtime]["name"] == "torch-script"
        assert "transformers==5.23.0" in environments[runtime]["packages"]
        assert Path(environments[runtime]["lock_file"]).is_relative_to(home / "locks")
    assert found[0]["model"]["labels"] == {"name": ["bert"], "task": ["nlp"]}
    assert found[0]["model"]["script_args"] == ["--layers=1", "--tokens=16"]


def test_inputs_and_outputs_of_every_kind_are_measured_on_every_runtime() -> None:
    found = measured(*ALL, SCRIPTS / "nested.py")
    assert [one["outcome"]["correctness"]["reasons"] for one in found] == [[], [], []]


def test_inputs_have_the_memory_layout_of_the_script() -> None:
    [result] = measured("-r", "torch-eager", SCRIPTS / "channels_last.py")
    assert result["outcome"]["correctness"]["reasons"] == []


def test_a_script_whose_weights_differ_from_those_of_its_build_is_not_compared_and_built_again() -> None:
    command = ("run", "-r", "torch-eager", "--iterations", "1", "--warmup", "1", SCRIPTS / "never_the_same.py")
    done = isobench_(*command)
    assert done.returncode == 0
    assert "computes something else each time: its weights differ from those of the build" in done.stdout
    assert "running the script" in isobench_(*command).stderr.partition("on torch-eager")[0]


def test_wrong_outputs_make_a_result_invalid_and_set_the_exit_code() -> None:
    done = isobench_("run", *BRIEF, "-r", "torch-eager", "-r", "ort", SCRIPTS / "never_the_same_outputs.py")
    assert done.returncode == 7
    eager, ort = (line for line in done.stdout.splitlines() if line.startswith(("torch-eager ", "ort ")))
    assert "WRONG" in eager
    assert "invalid" in eager
    assert "correct" in ort
    assert "torch-eager: invalid: output 'output': 4 of 4 elements exceed the tolerance 0.0001" in done.stdout


def test_a_torch_runtime_refuses_an_onnx_file_with_the_reason(model: Path) -> None:
    done = isobench_("run", *BRIEF, "-r", "torch-eager", "-r", "ort", model, "--dim", "rows=3")
    assert done.returncode == 3
    assert "torch-eager can't run small file.onnx: it runs the PyTorch module of a script" in done.stdout
    assert "-r ort" in done.stdout
    assert "correct" in done.stdout, "ort is measured all the same"


def test_a_model_that_fails_does_not_stop_the_others(model: Path) -> None:
    done = isobench_("run", *BRIEF, SCRIPTS / "raises.py", model, "--dim", "rows=3")
    assert done.returncode == 3
    assert "ort: raises.py raised KeyError: 'out'" in done.stdout
    assert "correct" in done.stdout
    assert "failed: script-error" in isobench_("list").stdout


def test_an_error_in_isobench_itself_fails_one_model_only(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = model.with_name("second.onnx")
    second.write_bytes(model.read_bytes())
    prepare = onnx_inputs.prepare

    def faulty(source: Model, *arguments: Any) -> Any:
        if source.path == model:
            raise ValueError("high <= 0")
        return prepare(source, *arguments)

    monkeypatch.setattr(onnx_inputs, "prepare", faulty)
    options: dict[str, Any] = {"dimensions": {"rows": 2}, "iterations": 1, "warmup": 1}
    failed, other = isobench.benchmark_all([model, second], runtimes=["ort"], **options)
    assert isinstance(failed.outcome, Failed)
    assert (failed.outcome.kind, failed.outcome.cause) == (Ending.INTERNAL, "ValueError")
    assert "an error in isobench while building small file: ValueError: high <= 0" in failed.outcome.message
    assert "in faulty" in failed.outcome.details
    assert isinstance(other.outcome, Measured)


def test_a_crash_while_measuring_is_reported_and_its_log_is_saved(home: Path) -> None:
    [result] = measured("-r", "torch-eager", SCRIPTS / "crashes_when_measured.py", code=5)
    assert result["outcome"]["kind"] == "crash"
    assert "was killed by SIGSEGV while " in result["outcome"]["message"]
    assert (home / "results" / result["id"] / "run-1" / "worker.log").exists()


def test_a_model_that_takes_too_long_is_stopped() -> None:
    done = isobench_("run", "-r", "torch-eager", "--timeout", "6", SCRIPTS / "never_ends.py")
    assert done.returncode == 5
    assert "was killed after 6 s (--timeout) while running the script" in done.stdout
    assert "--timeout" in done.stdout


def test_results_are_saved_in_the_given_folder_listed_and_shown(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "of mine"
    assert isobench_("run", *BRIEF, model, "--dim", "rows=3", "--output", folder).returncode == 0
    [result] = list(folder.iterdir())
    listed = isobench_("list", "--from", folder)
    assert result.name in listed.stdout
    shown = isobench_("show", "--from", folder, result.name[:15])
    assert shown.returncode == 0, shown.stderr
    for text in ("latency (ms)", "cold start", "lock", "noise", str(result)):
        assert text in shown.stdout
    assert json.loads(isobench_("show", "--json", result).stdout)["id"] == result.name


def test_python_gets_the_same_result(model: Path) -> None:
    result = isobench.benchmark(model, dimensions={"rows": 2}, iterations=11, threads=1)
    assert (result.latency.iterations, result.runtime.name, result.ok) == (11, "ort", True)
    with pytest.raises(UsageError, match=r"has several models: .*::e01e279c, .*::b4b5ecef"):
        isobench.benchmark(EXAMPLES / "two_models.py", runtime="torch-eager")
    failed = isobench.benchmark(model, runtime="torch-eager")
    with pytest.raises(ResultError, match="it runs the PyTorch module"):
        _ = failed.latency


def test_a_modified_environment_is_refused(model: Path, home: Path, tmp_path: Path) -> None:
    (home / "environments").unlink()
    assert isobench_("env", "create", "ort").returncode == 0
    folder = Path(isobench_("env", "path", "ort").stdout.strip())
    (folder / "lib" / "python3.11" / "site-packages" / "sneaky.py").write_text("print('hello')\n")
    done = isobench_("run", *BRIEF, model, "--dim", "rows=3")
    assert done.returncode == 4
    assert "the ort environment was modified" in done.stdout
    assert "sneaky.py was added and belongs to no package" in done.stdout
    assert f"isobench env remove {folder.name} && isobench env create ort" in done.stdout


def test_an_interrupt_stops_everything_and_saved_results_stay(model: Path, home: Path) -> None:
    arguments = ["run", *BRIEF, str(model), str(SCRIPTS / "never_ends.py"), "--dim", "rows=3"]
    host = subprocess.Popen(
        [sys.executable, "-m", "isobench", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert host.stderr is not None
    for line in host.stderr:
        if "building never_ends: running the script" in line:
            break
    time.sleep(1)
    workers = [int(pid) for pid in Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text().split()]
    assert workers
    host.send_signal(signal.SIGINT)
    _, errors = host.communicate(timeout=30)
    assert host.returncode == 130
    assert "interrupted; the results so far are saved" in errors
    assert len(list((home / "results").iterdir())) == 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


@pytest.mark.parametrize(
    ("turns", "number"),
    [((), signal.SIGINT), (("--interleave",), signal.SIGINT), ((), signal.SIGTERM), ((), signal.SIGHUP)],
)
def test_an_interrupted_measurement_leaves_no_files(
    model: Path, home: Path, turns: tuple[str, ...], number: int
) -> None:
    command = [sys.executable, "-m", "isobench", "run", str(model), "--dim", "rows=3", "--min-time", "60", *turns]
    host = subprocess.Popen([*command, "--max-time", "60"], stderr=subprocess.PIPE, text=True)
    assert host.stderr is not None
    for line in host.stderr:
        if line.endswith(": measuring\n"):
            break
    assert list((home / "runs").iterdir())
    host.send_signal(number)
    _, errors = host.communicate(timeout=30)
    assert host.returncode == 128 + number
    assert "Traceback" not in errors
    assert not list((home / "runs").iterdir())


def test_a_build_that_is_removed_while_measuring_is_made_again_for_the_next_case(home: Path) -> None:
    script = f"{EXAMPLES / 'two_models.py'}::e01e279c"
    arguments = ["run", script, "-r", "ort", "-r", "torch-eager", "--min-time", "1", "--no-select"]
    command = [sys.executable, "-m", "isobench", *arguments]
    host = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert host.stderr is not None
    for line in host.stderr:
        if line.endswith("on ort: measuring\n"):
            break
    shutil.rmtree(home / "builds")
    _, errors = host.communicate(timeout=120)
    assert "Traceback" not in errors
    first, second = results.load_all(home / "results")
    assert isinstance(first, results.Result)
    assert first.ok
    assert first.model.inputs_sha256
    assert isinstance(second, results.Result)
    assert second.ok
    assert "is missing; it is built again" in errors
    assert host.returncode == 0
    assert not list((home / "runs").iterdir())


def test_the_steady_heap_reuses_the_memory_of_a_model() -> None:
    # Mapped again for each iteration, the large tensors fault once per page: 18,000 times.
    [result] = measured("-r", "torch-eager", EXAMPLES / "resnet.py", "--iterations", "20")
    faults = sum(block["minor_faults"] for block in result["outcome"]["runs"][0]["blocks"])
    assert faults / 20 < 1000
    assert not any("page faults" in reason for reason in result["outcome"]["verdict"]["reasons"])


def test_the_default_heap_sets_no_malloc_variables() -> None:
    [result] = measured("-r", "torch-eager", SCRIPTS / "nested.py", "--iterations", "20", "--heap", "default")
    assert not any(name.startswith("MALLOC_") for name in result["provenance"]["worker"]["environment"])


def test_runs_in_several_processes_are_evaluated_together(model: Path, home: Path) -> None:
    [result] = measured(model, "--dim", "rows=3", "--processes", "3", "--min-time", "0.05")
    outcome = result["outcome"]
    assert len(outcome["runs"]) == 3
    assert len({run["started_at"] for run in outcome["runs"]}) == 3
    assert sorted(path.name for path in (home / "results" / result["id"]).iterdir()) == [
        "result.json",
        "run-1",
        "run-2",
        "run-3",
    ]
    assert outcome["latency_all"]["iterations"] == sum(
        block["iterations"] for run in outcome["runs"] for block in run["blocks"]
    )
    medians = [run["median_s"] for run in outcome["runs"]]
    assert min(medians) <= outcome["latency"]["median_s"] <= max(medians)


def test_precision_adds_runs_until_it_is_reached_or_reports_that_it_was_not(model: Path) -> None:
    quick = ("--dim", "rows=3", "--min-time", "0.05", "--no-select")
    [rough] = measured(model, *quick, "--precision", "99%")
    assert len(rough["outcome"]["runs"]) == 1
    [fine] = measured(model, *quick, "--precision", "0.05%", "--max-time", "0.3")
    assert len(fine["outcome"]["runs"]) > 1
    assert fine["outcome"]["verdict"]["status"] == "noisy"
    assert (
        "after 0.3 s (--max-time), wider than the requested 0.05% (--precision)"
        in fine["outcome"]["verdict"]["reasons"][-1]
    )


def test_by_default_a_fast_model_is_timed_long_enough_to_be_repeatable(model: Path) -> None:
    [result] = json.loads(isobench_("run", "--json", model, "--dim", "rows=3").stdout)
    clean_s = result["outcome"]["latency"]["iterations"] * result["outcome"]["latency"]["mean_s"]
    assert result["outcome"]["latency"]["iterations"] > 1000
    assert clean_s > 0.25, "half a second, less the time between iterations"


def test_the_second_run_starts_only_the_worker_that_measures() -> None:
    script = f"{EXAMPLES / 'two_models.py'}::e01e279c"
    assert "building" in isobench_("run", *BRIEF, script).stderr
    assert "building" not in isobench_("run", *BRIEF, script).stderr


def test_the_command_line_imports_nothing_heavy() -> None:
    heavy = {"numpy", "onnx", "msgpack", "ml_dtypes", "rattler", "importlib.metadata", "subprocess", "torch"}
    code = "import sys; from isobench.cli.main import cli; cli(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split())
