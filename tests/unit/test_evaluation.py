"""The figures of several runs together, and the doubts that the verdict names."""

from __future__ import annotations

import subprocess
import sys
from array import array
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sample_blocks import quiet

from isobench.analysis import correctness
from isobench.analysis.noise import Block
from isobench.analysis.warmup import Warmup
from isobench.measuring import evaluation
from isobench.measuring.evaluation import CompletedRun
from isobench.planning.settings import Settings
from isobench.supervisor.outputs import Measurement, WorkerOutputs
from isobench.workers.protocol import Tensor

SETTINGS = Settings(threads=1)
OUTPUT = Tensor("output", "float32", (1,), b"\0\0\0\0")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path))


def run(
    *others_s: float,
    each_ms: Sequence[float] = (),
    group: int = 1,
    settings: Settings = SETTINGS,
    output: Tensor = OUTPUT,
    **outputs: Any,
) -> CompletedRun:
    """A run of a block of 20 samples and 0.1 s for each; so long others used the machine meanwhile.

    `each_ms` are the milliseconds of an inference in each block, of which `group` make a sample.
    """
    blocks = tuple(
        quiet(20, group=group, started_s=number, cpu_others_s=used_s) for number, used_s in enumerate(others_s)
    )
    samples = [round(each * group * 1e6) for each in each_ms or [5] * len(blocks) for _ in range(20)]
    return completed(blocks, samples, group, settings, output, outputs)


def completed(
    blocks: tuple[Block, ...],
    samples_ns: list[int],
    group: int,
    settings: Settings,
    output: Tensor,
    outputs: dict[str, Any],
) -> CompletedRun:
    spawned_s = outputs.pop("spawned_s", 0.0)
    process = {"cpu_resolution_s": 0.01, **outputs.pop("process", {})}
    found = WorkerOutputs(blocks=blocks, group=group, process=process, **outputs)
    return evaluation.completed_run(
        Measurement.of(found, array("q", samples_ns), set_aside=settings.select),
        correctness.compare(correctness.Expected.of([OUTPUT]), [output]),
        began=datetime.now(UTC),
        folder="run-1",
        spawned_s=spawned_s,
    )


def reasons(runs: Sequence[CompletedRun], settings: Settings = SETTINGS) -> tuple[str, ...]:
    return evaluation.evaluate(runs, settings).measured.verdict.reasons


def test_the_figures_are_of_the_clean_blocks_of_all_runs() -> None:
    one = run(0.0, 0.09, 0.0, each_ms=(4, 40, 5))
    other = run(0.0, each_ms=(7,), group=5)
    assert one.run.used == (True, False, True)
    assert (one.run.median_s, other.run.median_s) == (pytest.approx(0.0045), pytest.approx(0.007))
    assert [list(block) for block in one.used_blocks_s()] == [[0.004] * 20, [0.005] * 20]
    assert [list(block) for block in other.used_blocks_s()] == [[0.007] * 20]
    outcome = evaluation.evaluate([one, other], SETTINGS).measured
    assert outcome.latency.iterations == 20 + 20 + 20 * 5
    assert outcome.latency_all.iterations == 60 + 20 * 5
    assert outcome.latency.mean_s == pytest.approx((4 + 5 + 7) / 3 / 1e3)
    assert outcome.latency.median_s == pytest.approx(0.005)
    assert outcome.latency_all.mean_s == pytest.approx((4 + 40 + 5 + 7) / 4 / 1e3)
    assert outcome.set_aside_s == pytest.approx(0.1)
    assert outcome.clean_share == pytest.approx(3 / 4)
    assert outcome.intervals["median_s"].low < 0.005 < outcome.intervals["median_s"].high
    assert outcome.verdict.status == "clean"


def test_without_selection_the_figures_are_of_all_blocks() -> None:
    settings = replace(SETTINGS, select=False)
    outcome = evaluation.evaluate([run(0.0, 0.09, each_ms=(4, 40), settings=settings)], settings).measured
    assert outcome.latency == outcome.latency_all
    assert (outcome.latency.mean_s, outcome.set_aside_s) == (pytest.approx(0.022), 0.0)


def test_a_worker_that_crashed_after_its_results_is_measured_and_that_is_said() -> None:
    runs = [run(0.0), run(0.0, crash="was killed by SIGSEGV")]
    outcome = evaluation.evaluate(runs, SETTINGS).measured
    note = "the worker was killed by SIGSEGV after it had written its results (see worker.log)"
    assert (outcome.verdict.status, outcome.verdict.reasons) == ("clean", (note,))


@pytest.mark.parametrize("wrong_first", [False, True])
def test_wrong_outputs_of_one_run_make_all_of_it_invalid(wrong_first: bool) -> None:
    right, wrong = run(0.0), run(0.0, output=Tensor("output", "float32", (1,), b"\0\0\0\1"))
    outcome = evaluation.evaluate([wrong, right] if wrong_first else [right, wrong], SETTINGS).measured
    assert (outcome.verdict.status, outcome.correctness.ok) == ("invalid", False)
    assert outcome.verdict.reasons[0].startswith("output 'output': 1 of 1 elements exceed")


def test_a_measurement_that_was_too_short_is_reported_in_milliseconds() -> None:
    [reason] = reasons([run(0.0, each_ms=(0.004,), group=2)])
    assert reason.startswith("40 iterations lasted only 0.16 ms, too short to be repeatable")


def test_runs_are_enough_when_they_are_precise_or_time_is_up() -> None:
    runs = [run(0.0, 0.0, each_ms=(5, 5))] * 2  # 0.4 s together
    width = evaluation.evaluate(runs, SETTINGS).width
    for precision, max_time_s, is_enough in (
        (None, 9, True),
        (1.1 * width, 9, True),
        (0.9 * width, 9, False),
        (0.9 * width, 0.41, False),
        (0.9 * width, 0.4, True),
    ):
        settings = replace(SETTINGS, precision=precision, max_time_s=max_time_s)
        evaluated = evaluation.evaluate(runs, settings)
        assert evaluated.width == width
        assert evaluation.enough(runs, evaluated, settings) is is_enough
        reached = f"the median's interval is \u00b1{width:.1%} after {max_time_s:g} s (--max-time)"
        too_wide = f"{reached}, wider than the requested {0.9 * width:.2%} (--precision)"
        assert evaluated.measured.verdict.reasons == ((too_wide,) if precision == 0.9 * width else ())


def test_a_runtime_that_reports_only_a_mean_is_a_doubt() -> None:
    mean = completed((), [500_000_000], 100, SETTINGS, OUTPUT, {})
    assert reasons([mean]) == ("the runtime reported only a mean, so the variance is unknown",)
    assert [list(block) for block in mean.used_blocks_s()] == [[0.005]]
    for samples, group in (([500_000_000], 1), ([500_000_000] * 2, 100)):
        assert reasons([completed((), samples, group, SETTINGS, OUTPUT, {})]) == ()


@pytest.mark.parametrize(
    ("requested", "actual", "reason"),
    [
        ({"cpus": (0, 1)}, {"affinity": [0, 1]}, None),
        ({"cpus": (0, 1)}, {"affinity": [1]}, None),
        ({"cpus": (0, 1)}, {"affinity": [0, 1, 2, 5]}, "the worker used the CPUs 0-2,5, requested: 0-1"),
        ({}, {"affinity": [0, 1, 2]}, None),
        ({"cpus": (0, 1)}, {}, None),
        ({"nice": -5}, {"nice": 0}, "the worker had the priority 0, requested: -5"),
        ({"nice": -5}, {"nice": -5}, None),
        ({"nice": -5}, {}, None),
        (
            {"memory_nodes": (1,)},
            {"memory_nodes": [0, 1]},
            "the worker's memory was bound to the nodes 0-1, requested: 1",
        ),
        ({"memory_nodes": (1,)}, {"memory_nodes": [1]}, None),
        ({"memory_nodes": (1,)}, {}, None),
    ],
)
def test_resources_that_differ_from_the_requested_ones_are_a_doubt(
    requested: dict[str, Any], actual: dict[str, Any], reason: str | None
) -> None:
    settings = replace(SETTINGS, **requested)
    runs = [run(0.0, settings=settings, process=actual)] * 2
    assert reasons(runs, settings) == ((reason,) if reason else ())


@pytest.mark.parametrize(
    ("threads", "reason"),
    [
        ({"runtime": 2}, "the runtime used 2 threads, requested: 1"),
        ({"runtime": 1}, None),
        ({}, None),
        ({"runtime": 2, "requested": 2}, None),
        ({"runtime": 1, "requested": 3}, "the runtime used 1 thread, requested: 3"),
    ],
)
def test_another_number_of_threads_than_requested_is_a_doubt(threads: dict[str, int], reason: str | None) -> None:
    assert reasons([run(0.0, threads=threads)]) == ((reason,) if reason else ())


def test_the_outputs_of_a_worker_become_its_run() -> None:
    found = run(
        0.0,
        import_s=0.1,
        load_s=0.2,
        first_inference_s=0.3,
        started_s=12.5,
        timer_s=1e-7,
        facts={"compile_s": 4.0, "a": 1},
        process={"peak_memory_bytes": 77, "pid": 5},
        warmup=Warmup(iterations=9, wall_s=0.5, settled=True, curve=((5, 0.1), (9, 0.05))),
        spawned_s=12.0,
    )
    start = found.run.cold_start
    assert (start.import_s, start.load_s, start.compile_s, start.first_inference_s) == (0.1, 0.2, 4.0, 0.3)
    assert start.start_s == pytest.approx(0.5)
    assert (found.facts, found.run.peak_memory_bytes, found.run.timer_s) == ({"a": 1}, 77, 1e-7)
    assert found.run.warmup is not None
    assert found.run.warmup.curve == ((5, 0.1), (9, 0.05))
    assert found.wall_s == pytest.approx(0.1)


def test_clean_runs_do_not_hide_one_that_was_disturbed_all_the_time() -> None:
    clean, disturbed = run(0.0, 0.0, 0.09), run(0.09, 0.09, 0.09)
    assert evaluation.evaluate([clean, clean], SETTINGS).measured.verdict.status == "clean"
    outcome = evaluation.evaluate([clean, clean, disturbed], SETTINGS).measured
    assert outcome.latency.iterations == (2 + 2 + 3) * 20, "all of the disturbed one is used"
    assert outcome.verdict.status == "noisy"
    assert outcome.verdict.reasons == (
        "1 of 3 runs was disturbed for most of the time, so none of its blocks were set aside",
    )


def test_disturbance_of_all_runs_is_reported_once() -> None:
    [reason] = evaluation.evaluate([run(0.09, 0.09)] * 2, SETTINGS).measured.verdict.reasons
    assert reason.startswith("others used the machine in 100% of the time (0.90 cores on average")


def test_preparing_the_evaluation_changes_nothing_in_the_callers_process() -> None:
    code = (
        "import os; before = dict(os.environ)\n"
        "from isobench.measuring import evaluation; evaluation.prepare()\n"
        "import numpy; print(dict(os.environ) == before, len(os.listdir('/proc/self/task')))"
    )
    plain = "import os, numpy; print(len(os.listdir('/proc/self/task')))"
    said, threads = (
        subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout.split()
        for text in (code, plain)
    )
    assert said == ["True", *threads]


def test_a_run_without_outputs_is_noisy_and_what_is_said_of_outputs_is_no_noise() -> None:
    one = run(0.0)
    nothing = replace(one, comparison=correctness.compare(correctness.Expected.of([OUTPUT]), []))
    verdict = evaluation.evaluate([nothing], SETTINGS).measured.verdict
    assert (verdict.status, verdict.reasons) == (
        "noisy",
        ("the runtime returned no outputs, so they weren't compared",),
    )
    empty = Tensor("y", "float32", (0,), b"")
    compared = correctness.compare(correctness.Expected.of([empty]), [empty])
    verdict = evaluation.evaluate([replace(one, comparison=compared)], SETTINGS).measured.verdict
    assert verdict.status == "clean"
    assert "output 'y' is empty" in verdict.reasons[0]


def test_a_compiler_that_compiled_nothing_is_a_doubt() -> None:
    assert reasons([run(0.0, facts={"graphs": 1})]) == ()
    assert reasons([run(0.0, facts={"graphs": 0})]) == ("torch.compile compiled no graph: the model ran eagerly",)
