from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from isobench.environments import Environment
from isobench.system import nvidia

pytestmark = pytest.mark.integration

OVERHEAD = Path(__file__).parents[2] / "benchmarks" / "overhead.py"
DEEP_NETWORKS = OVERHEAD.with_name("deep_networks.py")
GPU_CHECK = OVERHEAD.with_name("gpu_check.py")
KILLS = OVERHEAD.with_name("kills.py")


@pytest.mark.parametrize("arguments", [[], ["--control"]])
def test_the_overhead_is_a_ratio_of_whole_commands_with_its_interval(arguments: list[str], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "isobench", "env", "create", "ort"], check=True, capture_output=True)
    settings = ["--pairs", "2", "--models", "tiny-mlp", "--threads", "1"]
    done = subprocess.run(
        [sys.executable, str(OVERHEAD), *settings, *arguments], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert "tiny-mlp" in done.stdout
    report = json.loads((tmp_path / "build" / "overhead.json").read_text())
    (comparison,) = report["comparisons"]
    assert report["control"] == bool(arguments)
    assert len(comparison["isobench_s"]) == len(comparison["bare_s"]) == 2
    ratios = [one / other for one, other in zip(comparison["isobench_s"], comparison["bare_s"], strict=True)]
    assert min(ratios) <= comparison["ratio_low"] <= comparison["ratio"] <= comparison["ratio_high"] <= max(ratios)


def test_a_deep_network_is_right_on_every_runtime_and_wrong_in_fewer_bits(
    provisioned: Callable[[str], Environment], tmp_path: Path
) -> None:
    for name in ("ort", "openvino", "torch"):
        home = provisioned(name).folder.parents[1]
    done = subprocess.run(
        [sys.executable, str(DEEP_NETWORKS), "--networks", "1", "--threads", "1"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "ISOBENCH_HOME": str(home)},
    )
    [judged] = [line for line in done.stdout.splitlines() if line.startswith("all ")]
    assert judged.split()[1:] == ["0", "of", "1"] * 4 + ["1", "of", "1"] * 3


def test_a_sweep_whose_host_is_killed_in_every_phase_is_completed_without_a_doubled_or_missing_result(
    home: Path, provisioned: Callable[[str], Environment], tmp_path: Path
) -> None:
    provisioned("ort")
    settings = ["--kills", "6", "--models", "2"]
    done = subprocess.run(
        [sys.executable, str(KILLS), *settings], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "build" / "kills.json").read_text())
    assert sum(report["phases"].values()) == 6
    assert report["phases"]["preparing"] >= 1
    assert len(report["phases"]) >= 2


@pytest.mark.skipif(nvidia.present(), reason="there is a GPU: make gpu-check")
def test_the_gpu_check_says_at_once_that_there_is_no_gpu(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(GPU_CHECK)], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert "MISSING  GPU" in done.stderr
    assert "no usable NVIDIA GPU: nothing was measured" in done.stderr
