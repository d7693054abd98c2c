"""The resources of a worker: requested on the command line, and observed from inside the worker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from isobench.environments import Environment
from isobench.system import devices
from isobench.system.devices import Device
from isobench.workers import machine

pytestmark = pytest.mark.integration

SCRIPTS = Path(__file__).parents[1] / "samples" / "scripts"
QUICK = ("--iterations", "100")


@pytest.fixture(autouse=True)
def environment(home: Path, provisioned: Callable[[str], Environment]) -> None:
    provisioned("ort")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [64, 64])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [64, 64])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "x"], ["y"])], "square", [x], [y])
    path = tmp_path / "square.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def isobench(*arguments: str | Path, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-m", "isobench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def measured(*arguments: str | Path) -> dict[str, Any]:
    done = isobench("run", "--json", *QUICK, *arguments)
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout)
    result: dict[str, Any] = found
    return result


def test_cpus_priority_and_memory_are_the_requested_ones(model: Path) -> None:
    cpu = machine.cpus()[-1]
    nodes = machine.memory_nodes()
    memory = ("--memory-nodes", machine.cpu_list(nodes)) if nodes else ()
    result = measured(model, "--cpus", str(cpu), "--nice", "5", *memory)
    worker = result["provenance"]["worker"]
    assert (worker["affinity"], worker["nice"], worker["memory_nodes"]) == ([cpu], 5, list(nodes))
    assert result["settings"]["threads"] == 1, "as many threads as cores, by default"
    assert result["settings"]["cpus"] == [cpu]


def test_resources_that_are_not_requested_stay_as_they_are(model: Path) -> None:
    worker = measured(model)["provenance"]["worker"]
    assert (worker["affinity"], worker["nice"], worker["memory_nodes"]) == (list(machine.cpus()), 0, [])


def test_a_script_that_changes_its_resources_is_detected(provisioned: Callable[[str], Environment]) -> None:
    provisioned("torch")
    result = measured(SCRIPTS / "sets_its_own.py", "-r", "torch-eager", "--threads", "2")
    verdict = result["outcome"]["verdict"]
    assert verdict["status"] == "noisy"
    assert result["outcome"]["runs"][0]["threads"]["runtime"] == 2, "set again after the script"
    assert "the worker had the priority 3, requested: 0" in verdict["reasons"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cpus", "4096"), "--cpus must be among those that this process may use, got 4096"),
        (("--memory-nodes", "77"), "--memory-nodes must be among those that this process may use, got 77"),
        (("--nice", "20"), "--nice must be from -20 to 19, got 20"),
        (("--cpus", "0-x"), "must be a list of numbers such as 0-3,8, got '0-x'"),
    ],
)
def test_impossible_resources_are_refused_before_any_work(
    arguments: tuple[str, str], message: str, model: Path
) -> None:
    done = isobench("run", model, *arguments)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv, of util-linux, takes the privilege away")
def test_a_priority_that_the_kernel_refuses_is_reported(model: Path) -> None:
    without = ("setpriv", "--bounding-set=-sys_nice") if os.geteuid() == 0 else ()
    done = isobench("run", model, "--nice", "-5", before=without)
    assert done.returncode == 5
    assert "can't set the priority -5: Permission denied" in done.stdout + done.stderr


def test_without_waiting_the_process_that_measures_is_named(model: Path) -> None:
    with devices.exclusive(Device.parse("x86")):
        done = isobench("run", model, "--no-wait")
        assert done.returncode == 9
        assert f"x86 is not free: in use by pid {os.getpid()}" in done.stdout + done.stderr
        assert "Without --no-wait" in done.stdout + done.stderr


def test_the_wait_for_a_device_ends_when_its_time_is_up(model: Path) -> None:
    with devices.exclusive(Device.parse("x86")):
        done = isobench("run", model, "--wait", "0.3")
    assert done.returncode == 9
    assert "x86 was not free within 0.3 s" in done.stdout + done.stderr
