"""The figures of a run on a GPU are made from the used blocks, for both timing contracts alike."""

from __future__ import annotations

from array import array
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sample_blocks import quiet

from isobench.analysis import correctness
from isobench.analysis.gpu_noise import GpuBlock
from isobench.measuring import evaluation
from isobench.planning.settings import Settings
from isobench.supervisor.outputs import Measurement, WorkerOutputs
from isobench.workers.protocol import Tensor

GPU = GpuBlock(enqueue_s=1e-5, inferences=41, energy_j=8.2, slowed_s=0.0)
BLOCK = quiet(20, started_s=1.0, gpu=GPU)
SLOWED = replace(BLOCK, gpu=replace(GPU, slowed_s=0.05, energy_j=80.0))
OUTPUT = Tensor("output", "float32", (1,), b"\0\0\0\0")


def test_a_slowed_block_is_set_aside_from_both_contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path))
    outputs = WorkerOutputs(facts={"timing": "device", "compile_s": 3.0}, blocks=(BLOCK, SLOWED))
    measurement = Measurement.of(
        outputs,
        array("q", [2_000_000] * 20 + [4_000_000] * 20),
        array("q", [3_000_000] * 20 + [6_000_000] * 20),
        set_aside=True,
    )
    comparison = correctness.compare(correctness.Expected.of([OUTPUT]), [OUTPUT])
    run = evaluation.completed_run(measurement, comparison, began=datetime.now(UTC), folder="run-1")
    outcome = evaluation.evaluate([run], Settings(threads=1)).measured
    assert (outcome.latency.median_s, outcome.latency.iterations) == (0.002, 20)
    assert outcome.end_to_end is not None
    assert (outcome.end_to_end.mean_s, outcome.end_to_end.iterations) == (0.003, 20)
    assert outcome.gpu is not None
    assert outcome.gpu.energy_per_inference_j == pytest.approx(0.2)
    assert outcome.set_aside_s == pytest.approx(0.1)
    assert outcome.runs[0].cold_start.compile_s == 3.0
    assert outcome.verdict.status == "clean"
