"""From the command to the Result on a GPU, all of it real but the GPU: NVML's answers, and the layer in the worker."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import isobench
from isobench import results
from isobench.cli.main import main
from isobench.environments import Environment
from isobench.environments.manifest import Manifest, Package
from isobench.failures import Ending
from isobench.reports import details
from isobench.results import Failed, Measured
from isobench.runtimes.nvidia import TrtRT
from isobench.workers import nvml, protocol

pytestmark = pytest.mark.integration

WORKER = Path(__file__).parents[1] / "samples" / "workers" / "on_gpu.py"
FACTS = {
    "name": "Stand-in",
    "driver": "580.65.06",
    "cuda": "13.0",
    "compute_capability": "9.0",
    "memory_bytes": 80 << 30,
    "memory_free_bytes": 79 << 30,
    "ecc": True,
    "ecc_errors": 0,
    "persistence": True,
    "mig": False,
    "power_limit_w": 700.0,
    "compute_mode": 0,
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An ONNX file whose output is what the worker's stand-in of a GPU has in its memory: a zero."""
    given, result = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "output"))
    zero = numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    graph = helper.make_graph([helper.make_node("Mul", ["x", "zero"], ["output"])], "zero", [given], [result], [zero])
    file = tmp_path / "zero.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, home: Path, ort_python: Path) -> dict[str, Any]:
    """trt, with a worker that measures on a stand-in, in an environment that is there."""
    facts = dict(FACTS)
    monkeypatch.setattr(nvml, "visible", lambda: [SimpleNamespace(facts=lambda: facts, processes=list)])
    monkeypatch.setattr(TrtRT, "environment", "ort")
    monkeypatch.setattr(TrtRT, "package", "onnxruntime")
    monkeypatch.setattr(TrtRT, "worker", WORKER)
    return facts


@pytest.mark.usefixtures("gpu")
def test_a_result_has_both_contracts_the_counters_and_the_gpus_name(
    model: Path, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--device", "nvidia", "--iterations", "30", "--rt-args", "tf32"]
    monkeypatch.setattr(sys, "argv", ["isobench", "run", *options, "--", str(model)])
    with pytest.raises(SystemExit) as leaving:
        main()
    reported = capsys.readouterr()
    assert leaving.value.code == 0, reported
    [result] = [one for one in results.load_all() if not isinstance(one, Exception)]
    outcome = result.outcome
    assert isinstance(outcome, Measured)
    assert (result.runtime.name, result.device.device, result.device.name) == ("trt", "nvidia", "Stand-in")
    assert result.runtime.arguments["tf32"] is True
    assert outcome.correctness.ok
    assert outcome.facts["timing"] == "device"
    assert outcome.latency_all.iterations == 30
    assert outcome.latency.min_s >= 0.002
    assert outcome.end_to_end is not None
    assert outcome.end_to_end.min_s >= 0.003
    assert outcome.gpu is not None
    assert outcome.gpu.energy_per_inference_j is not None
    assert all(block.gpu is not None for block in outcome.runs[0].blocks)
    file = results.folder_of(result.id) / "run-1" / protocol.END_TO_END_FILE
    assert len(protocol.read_samples(file)) == 30
    assert "trt: end to end, with the copies to the GPU and back: mean" in reported.out
    assert "on nvidia (Stand-in)" in reported.out
    assert "1980 to 1980 MHz, 100 W" in details.details(result, home)


def test_an_environment_that_the_driver_does_not_support_becomes_a_failed_result(
    gpu: dict[str, Any], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu |= {"driver": "570.86.10", "cuda": "12.8"}
    manifest = Environment.manifest

    def of_cuda_13(environment: Environment) -> Manifest:
        found = manifest(environment)
        library = Package(name="tensorrt-cu13-libs", version="11.4.0.106", record_sha256="")
        return replace(found, contents=replace(found.contents, packages=(*found.packages, library)))

    monkeypatch.setattr(TrtRT, "_setup", _with_manifest(of_cuda_13, TrtRT._setup))
    outcome = isobench.benchmark(model, device="nvidia").outcome
    assert isinstance(outcome, Failed)
    assert outcome.kind is Ending.USAGE
    assert "CUDA 13 (tensorrt-cu13-libs 11.4.0.106) with driver 570.86.10" in outcome.message
    assert "driver 580 or later" in outcome.hint


def _with_manifest(manifest: Any, setup: Any) -> Any:
    def patched(runtime: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Environment, "manifest", manifest)
            setup(runtime)

    return patched
