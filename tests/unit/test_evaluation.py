"""What several runs come to together."""

from __future__ import annotations

import subprocess
import sys
from array import array
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from isobench.analysis import Block
from isobench.measuring import evaluation
from isobench.measuring.evaluation import Finished
from isobench.planning.settings import Settings
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
) -> Finished:
    """A run of a block of 20 samples and 0.1 s for each; so long others used the machine meanwhile.

    `each_ms` are the milliseconds of an inference in each block, of which `group` make a sample.
    """
    blocks = tuple(
        Block(
            samples=20,
            iterations=20 * group,
            started_s=number,
            wall_s=0.1,
            cpu_own_s=0.1,
            cpu_others_s=used_s,
            steal_s=0.0,
            throttled_s=0.0,
            involuntary_switches=0,
            minor_faults=0,
            major_faults=0,
        )
        for number, used_s in enumerate(others_s)
    )
    samples = [round(each * group * 1e6) for each in each_ms or [5] * len(blocks) for _ in range(20)]
    return finished(blocks, samples, group, settings, output, outputs)


def finished(
    blocks: tuple[Block, ...],
    samples_ns: list[int],
    group: int,
    settings: Settings,
    output: Tensor,
    outputs: dict[str, Any],
) -> Finished:
    runtime: Any = SimpleNamespace(
        outputs=outputs,
        blocks=blocks,
        resolution_s=0.01,
        group=group,
        samples_ns=array("q", samples_ns),
        spawned_s=outputs.pop("spawned_s", 0.0),
        end_to_end_ns=array("q"),
        stats=SimpleNamespace(values={}),
        output_tensors=lambda: [output],
    )
    performance: Any = SimpleNamespace(runtime_version="1", device="A CPU")
    return evaluation.finished(runtime, performance, [OUTPUT], datetime.now(UTC), "run-1", settings)


def reasons(runs: Sequence[Finished], settings: Settings = SETTINGS) -> tuple[str, ...]:
    return evaluation.judge(runs, settings).measured.verdict.reasons


def test_the_figures_are_of_the_clean_blocks_of_all_runs() -> None:
    one = run(0.0, 0.09, 0.0, each_ms=(4, 40, 5))
    other = run(0.0, each_ms=(7,), group=5)
    assert one.run.used == (True, False, True)
    assert (one.run.median_s, other.run.median_s) == (pytest.approx(0.0045), pytest.approx(0.007))
    assert [list(block) for block in one.used_blocks_s()] == [[0.004] * 20, [0.005] * 20]
    assert [list(block) for block in other.used_blocks_s()] == [[0.007] * 20]
    outcome = evaluation.judge([one, other], SETTINGS).measured
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
    outcome = evaluation.judge([run(0.0, 0.09, each_ms=(4, 40), settings=settings)], settings).measured
    assert outcome.latency == outcome.latency_all
    assert (outcome.latency.mean_s, outcome.set_aside_s) == (pytest.approx(0.022), 0.0)


@pytest.mark.parametrize("wrong_first", [False, True])
def test_wrong_outputs_of_one_run_make_all_of_it_invalid(wrong_first: bool) -> None:
    right, wrong = run(0.0), run(0.0, output=Tensor("output", "float32", (1,), b"\0\0\0\1"))
    outcome = evaluation.judge([wrong, right] if wrong_first else [right, wrong], SETTINGS).measured
    assert (outcome.verdict.status, outcome.correctness.ok) == ("invalid", False)
    assert outcome.verdict.reasons[0].startswith("output: 1 of 1 elements differ")


def test_what_lasted_a_moment_is_told_in_milliseconds() -> None:
    [reason] = reasons([run(0.0, each_ms=(0.004,), group=2)])
    assert reason.startswith("40 iterations lasted 0.16 ms together, too short to repeat")


def test_it_is_enough_when_it_is_precise_or_time_is_up() -> None:
    runs = [run(0.0, 0.0, each_ms=(5, 5))] * 2  # 0.4 s together
    width = evaluation.judge(runs, SETTINGS).width
    for precision, max_time_s, is_enough in (
        (None, 9, True),
        (1.1 * width, 9, True),
        (0.9 * width, 9, False),
        (0.9 * width, 0.41, False),
        (0.9 * width, 0.4, True),
    ):
        settings = replace(SETTINGS, precision=precision, max_time_s=max_time_s)
        judged = evaluation.judge(runs, settings)
        assert judged.width == width
        assert evaluation.enough(runs, judged, settings) is is_enough
        told = [f"the median's interval is \u00b1{width:.1%}, wider than the {0.9 * width:.2%} asked for, after"]
        said = [reason.partition(" after")[0] + " after" for reason in judged.measured.verdict.reasons]
        assert said == (told if precision == 0.9 * width else [])


def test_a_mean_alone_says_nothing_of_how_iterations_differ() -> None:
    mean = finished((), [500_000_000], 100, SETTINGS, OUTPUT, {})
    assert reasons([mean]) == ("the runtime told the mean of all iterations alone: how they differ isn't known",)
    assert [list(block) for block in mean.used_blocks_s()] == [[0.005]]
    for samples, group in (([500_000_000], 1), ([500_000_000] * 2, 100)):
        assert reasons([finished((), samples, group, SETTINGS, OUTPUT, {})]) == ()


@pytest.mark.parametrize(
    ("asked", "told", "reason"),
    [
        ({"cpus": (0, 1)}, {"affinity": [0, 1]}, None),
        ({"cpus": (0, 1)}, {"affinity": [1]}, None),
        ({"cpus": (0, 1)}, {"affinity": [0, 1, 2, 5]}, "the CPUs 0-1 were asked for, and the worker used 0-2,5"),
        ({}, {"affinity": [0, 1, 2]}, None),
        ({"cpus": (0, 1)}, {}, None),
        ({"nice": -5}, {"nice": 0}, "the priority -5 was asked for, and the worker had 0"),
        ({"nice": -5}, {"nice": -5}, None),
        ({"nice": -5}, {}, None),
        (
            {"memory_nodes": (1,)},
            {"memory_nodes": [0, 1]},
            "the worker's memory wasn't bound to the nodes that were asked for",
        ),
        ({"memory_nodes": (1,)}, {"memory_nodes": [1]}, None),
        ({"memory_nodes": (1,)}, {}, None),
    ],
)
def test_what_was_asked_for_and_is_not_in_effect_is_told(
    asked: dict[str, Any], told: dict[str, Any], reason: str | None
) -> None:
    settings = replace(SETTINGS, **asked)
    runs = [run(0.0, settings=settings, process=told)] * 2
    assert reasons(runs, settings) == ((reason,) if reason else ())


@pytest.mark.parametrize(
    ("threads", "reason"),
    [
        ({"runtime": 2}, "1 thread was asked for, and the runtime uses 2"),
        ({"runtime": 1}, None),
        ({}, None),
        ({"runtime": 2, "requested": 2}, None),
        ({"runtime": 1, "requested": 3}, "3 threads were asked for, and the runtime uses 1"),
    ],
)
def test_other_threads_than_were_asked_for_are_told(threads: dict[str, int], reason: str | None) -> None:
    assert reasons([run(0.0, threads=threads)]) == ((reason,) if reason else ())


def test_what_a_worker_tells_becomes_its_run() -> None:
    found = run(
        0.0,
        import_s=0.1,
        load_s=0.2,
        first_inference_s=0.3,
        started_s=12.5,
        timer_s=1e-7,
        facts={"compile_s": 4.0, "a": 1},
        process={"peak_memory_bytes": 77, "pid": 5},
        warmup={"iterations": 9, "wall_s": 0.5, "settled": True, "curve": [[5, 0.1], [9, 0.05]]},
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
    assert evaluation.judge([clean, clean], SETTINGS).measured.verdict.status == "clean"
    outcome = evaluation.judge([clean, clean, disturbed], SETTINGS).measured
    assert outcome.latency.iterations == (2 + 2 + 3) * 20, "all of the disturbed one is used"
    assert outcome.verdict.status == "noisy"
    assert outcome.verdict.reasons == (
        "1 of 3 runs was disturbed for most of the time, and nothing of it was set aside",
    )


def test_where_all_were_disturbed_it_is_said_once() -> None:
    [reason] = evaluation.judge([run(0.09, 0.09)] * 2, SETTINGS).measured.verdict.reasons
    assert reason.startswith("in 100% of the time others used the machine (0.90 cores on average")


def test_loading_what_judging_needs_changes_nothing_of_the_callers_process() -> None:
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
