"""Runtimes that derive from BaseRT itself, and one that needs no ONNX file: the whole contract."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import plugin_world
import pytest
from onnx import TensorProto, helper

import isobench
from isobench import results
from isobench.environments import Environment
from isobench.failures import Ending
from isobench.results import Failed, Measured
from isobench.runtimes import registry

pytestmark = pytest.mark.integration

SCRIPT = f"{Path(__file__).parents[2] / 'examples' / 'models' / 'two_models.py'}::e01e279c"

PLUGIN = '''
import json, time
from pathlib import Path
import numpy as np
from isobench.runtimes.base import BaseRT, MeasuredPerformance
from isobench.runtimes.worker_rt import WorkerRT
from isobench.workers import protocol

class InHost(BaseRT):
    """Measures in the host, in _execute: twice the input."""

    def __init__(self, *, factor: float = 2.0):
        super().__init__(factor=factor)

    def _setup(self):
        self.events = ["_setup"]
        assert not (self.context.run_dir / "outputs.json").exists()

    def _execute(self, output_dir, onnx_file, outputs_file, iterations):
        assert Path(onnx_file).is_file()
        [given] = protocol.read_tensors(self.build.inputs_file)
        x = np.frombuffer(given.data, dtype="float32")
        took = []
        for _ in range(iterations):
            started = time.perf_counter()
            y = x * np.float32(self.rt_args["factor"])
            took.append(time.perf_counter() - started)
        made = protocol.Tensor("y", "float32", given.shape, y.tobytes())
        protocol.write_tensors(Path(output_dir) / "outputs.msgpack", [made])
        reported = {"schema": protocol.OUTPUTS_SCHEMA, "status": "ok", "latency_s": took}
        Path(outputs_file).write_text(json.dumps(reported))

    def mean_latency(self):
        return sum(self.samples_ns) / len(self.samples_ns) / 1e6

    def throughput(self):
        self.stats.save_model_eval_stat("events", self.events)
        return 1000 / self.mean_latency()

    def device_name(self):
        return "this process"

class Forgets(InHost):
    def _execute(self, output_dir, onnx_file, outputs_file, iterations):
        pass

class Stumbles(InHost):
    def _setup(self):
        raise LookupError("the accelerator has no firmware")

class OnlyMean(InHost):
    """Has its own benchmark, which reports only a mean."""

    def benchmark(self):
        return MeasuredPerformance(
            mean_latency=2.5, throughput=400.0, device="far away", device_type="x86", runtime="only-mean",
            runtime_version="7", build_name=self.build.name,
        )

    def output_tensors(self):
        return protocol.read_tensors(self.build.expected_file)

class Module(WorkerRT):
    environment = "torch"
    worker = "module_worker.py"
    package = "torch"

class Startles(Module):
    def _setup(self):
        raise LookupError("the accelerator has no firmware")

def entry(cls, **more):
    return {"supported_devices": {"x86"}, "RuntimeClass": cls, **more}

implements = {"runtimes": {
    "in-host": entry(InHost, status_stats=["events"]), "forgets": entry(Forgets), "stumbles": entry(Stumbles),
    "only-mean": entry(OnlyMean), "module": entry(Module, build_required=False),
    "startles": entry(Startles, build_required=False),
}}
'''

WORKER = """
import time
import script_model
import torch
from harness import measure, request, serve

def _execute(output_dir, onnx_file, outputs_file, iterations):
    assert not onnx_file
    started = time.perf_counter()
    module, args, kwargs = script_model.load()
    load_s = time.perf_counter() - started
    with torch.inference_mode():
        measure(lambda: module(*args, **kwargs), outputs_file, iterations, outputs=script_model.read_outputs,
                load_s=load_s, facts={"class": type(module).__name__})

serve(_execute)
"""


@pytest.fixture(autouse=True)
def plugin(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provisioned: Callable[[str], Environment]
) -> Iterator[None]:
    provisioned("ort")
    provisioned("torch")
    plugin_world.install(tmp_path / "site", monkeypatch, PLUGIN, workers__module_worker_py=WORKER)
    registry.forget()
    yield
    registry.forget()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "twice", [x], [y])
    file = tmp_path / "twice.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file


def test_a_runtime_with_its_own_execute_is_measured_like_any_other(model: Path, home: Path) -> None:
    result = isobench.benchmark(model, runtime="in-host", iterations=50)
    assert isinstance(result.outcome, Measured), result.outcome
    assert result.ok
    assert result.latency.iterations == 50
    assert (result.device.name, result.environment) == ("this process", None)
    assert result.outcome.stats == {"events": ["_setup"]}
    assert result.runtime.status_stats == ("events",)
    assert result.runtime.arguments == {"factor": 2.0}
    [samples] = results.samples_ns(result, home / "results" / result.id)
    assert len(samples) == 50
    assert json.loads((home / "results" / result.id / "run-1" / "outputs.json").read_text())["status"] == "ok"
    wrong = isobench.benchmark(model, runtime="in-host", iterations=50, rt_args={"factor": "3"})
    assert not wrong.ok


def test_a_benchmark_that_reports_only_a_mean_gets_a_noisy_verdict(model: Path, home: Path) -> None:
    result = isobench.benchmark(model, runtime="only-mean", iterations=40)
    assert isinstance(result.outcome, Measured), result.outcome
    assert result.latency.mean_s == pytest.approx(0.0025)
    assert result.latency.throughput_ips == pytest.approx(400)
    assert (result.latency.iterations, result.runtime.version, result.device.name) == (40, "7", "far away")
    assert result.outcome.verdict.status == "noisy"
    assert "the runtime reported only a mean, so the variance is unknown" in (result.outcome.verdict.reasons)
    assert results.samples_ns(result, home / "results" / result.id) == [array("q", [100_000_000])]


def test_missing_outputs_and_exceptions_are_failures_with_their_reason(model: Path) -> None:
    forgotten = isobench.benchmark(model, runtime="forgets").outcome
    assert isinstance(forgotten, Failed)
    assert forgotten.message.startswith("the worker left no measurement: ")
    stumbled = isobench.benchmark(model, runtime="stumbles").outcome
    assert isinstance(stumbled, Failed)
    assert stumbled.message == "stumbles failed: LookupError: the accelerator has no firmware"
    assert (stumbled.kind, stumbled.cause, stumbled.exit_code) == (Ending.EXCEPTION, "LookupError", 5)
    assert "in _setup" in stumbled.details


def test_without_a_build_the_worker_gets_the_module_and_its_inputs() -> None:
    result = isobench.benchmark(SCRIPT, runtime="module", iterations=20)
    assert isinstance(result.outcome, Measured), result.outcome
    assert result.ok
    assert result.outcome.facts["class"] == "Perceptron"
    assert result.model.onnx_sha256 == ""
    assert [step.tool for step in result.steps] == ["discover", "benchmark"]


def test_an_exception_of_one_runtime_does_not_affect_the_interleaved_others() -> None:
    options = {"interleaved": True, "min_time_s": 0.05, "max_time_s": 0.5}
    startled, measured = isobench.benchmark_all([SCRIPT], runtimes=["startles", "module"], **options)
    assert isinstance(startled.outcome, Failed)
    assert startled.outcome.message == "startles failed: LookupError: the accelerator has no firmware"
    assert isinstance(measured.outcome, Measured), measured.outcome
