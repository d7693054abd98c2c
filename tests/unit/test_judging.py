"""What several runs come to together."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from isobench.measuring import judging
from isobench.measuring.judging import Finished
from isobench.models import Settings
from isobench.statistics import Block
from isobench.workers.protocol import Tensor

SETTINGS = Settings(threads=1)
OUTPUT = Tensor("output", "float32", (1,), b"\0\0\0\0")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path))


def run(*others_s: float) -> Finished:
    """A run of a block of 0.1 s for each; so long others used the machine meanwhile."""
    blocks = tuple(
        Block(
            samples=20, iterations=20, started_s=number, wall_s=0.1, cpu_own_s=0.1, cpu_others_s=used_s, steal_s=0.0,
            throttled_s=0.0, involuntary_switches=0, minor_faults=0, major_faults=0,
        )
        for number, used_s in enumerate(others_s)
    )  # fmt: skip
    runtime: Any = SimpleNamespace(
        outputs={}, blocks=blocks, resolution_s=0.01, group=1, samples_ns=[5_000_000] * 20 * len(blocks),
        end_to_end_ns=[], stats=SimpleNamespace(values={}), output_tensors=lambda: [OUTPUT],
    )  # fmt: skip
    performance: Any = SimpleNamespace(runtime_version="1", device="A CPU")
    return judging.finished(runtime, performance, [OUTPUT], datetime.now(UTC), "run-1", SETTINGS)


def test_clean_runs_do_not_hide_one_that_was_disturbed_all_the_time() -> None:
    clean, disturbed = run(0.0, 0.0, 0.09), run(0.09, 0.09, 0.09)
    assert judging.judge([clean, clean], SETTINGS).measured.verdict.status == "clean"
    outcome = judging.judge([clean, clean, disturbed], SETTINGS).measured
    assert outcome.latency.iterations == (2 + 2 + 3) * 20, "all of the disturbed one is used"
    assert outcome.verdict.status == "noisy"
    assert outcome.verdict.reasons == (
        "1 of 3 runs was disturbed for most of the time, and nothing of it was set aside",
    )


def test_where_all_were_disturbed_it_is_said_once() -> None:
    [reason] = judging.judge([run(0.09, 0.09)] * 2, SETTINGS).measured.verdict.reasons
    assert reason.startswith("in 100% of the time others used the machine (0.90 cores on average")


def test_loading_what_judging_needs_changes_nothing_of_the_callers_process() -> None:
    code = (
        "import os; before = dict(os.environ)\n"
        "from isobench.measuring import judging; judging.prepare()\n"
        "import numpy; print(dict(os.environ) == before, len(os.listdir('/proc/self/task')))"
    )
    plain = "import os, numpy; print(len(os.listdir('/proc/self/task')))"
    said, threads = (
        subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout.split()
        for text in (code, plain)
    )
    assert said == ["True", *threads]
