"""`isobench run` in containers, from end to end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import container_world
import onnx
import plugin_world
import pytest
from onnx import TensorProto, helper

from isobench import environments
from isobench.environments import Environment

pytestmark = pytest.mark.integration

ISOBENCH = Path(sys.executable).with_name("isobench")


def isobench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(ISOBENCH), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """y = x @ x."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [8, 8])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "x"], ["y"])], "square", [x], [y])
    path = tmp_path / "square.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_locked_runtime_is_measured_in_a_container(
    image: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("ISOBENCH_HOME", str(home))
    monkeypatch.setenv("ISOBENCH_CONTAINER_IMAGE", image)
    last = str(max(os.sched_getaffinity(0)))
    done = isobench(
        "run",
        "-r",
        "ort",
        "--provider",
        "container",
        "--cpus",
        last,
        "--threads",
        1,
        "--iterations",
        20,
        "--json",
        model,
    )
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    environment = result["environment"]
    assert (environment["provider"], environment["image"]) == ("container", image)
    assert "onnxruntime" in " ".join(environment["packages"])
    assert result["provenance"]["container"]["engine"] == "podman"
    assert result["provenance"]["container"]["id"] == image
    worker_saw = result["provenance"]["worker"]
    assert worker_saw["affinity"] == [int(last)]
    assert worker_saw["executable"].startswith(str(home / "environments"))
    assert any(one["path"].startswith("/opt/inside/") for one in worker_saw["native_libraries"])
    assert result["outcome"]["correctness"]["ok"]
    assert container_world.containers() == []

    rows = json.loads(isobench("env", "list", "--json").stdout)
    assert [(row["state"], row["provider"]) for row in rows if row["name"] == "ort"] == [("ready", "container")]
    assert isobench("env", "verify", "ort", "--provider", "container").returncode == 0
    assert "removed" in isobench("env", "remove", "ort").stdout


PLUGIN = """
from isobench.runtimes.worker_rt import WorkerRT

class InsideRT(WorkerRT):
    environment = "inside"
    worker = "inside_worker.py"
    package = "isobench-in-image"

implements = {"runtimes": {"inside": {
    "supported_devices": ["x86", "cpu"], "docker_required": True, "RuntimeClass": InsideRT,
}}}
"""
WORKER = """
import array
import in_image
from harness import measure, request, serve
import protocol

def execute(output_dir, onnx_file, outputs_file, iterations):
    model = request()["model"]
    assert open(onnx_file, "rb").read()
    (x,) = protocol.read_tensors(model["inputs_file"])
    rows, columns = x.shape
    flat = array.array("f", x.data)

    def call():
        return [
            sum(flat[row * columns + k] * flat[k * columns + column] for k in range(columns))
            for row in range(rows) for column in range(columns)
        ]

    def tensors(found):
        name = model["onnx_outputs"][0]["source"]
        return [protocol.Tensor(name, "float32", x.shape, array.array("f", found).tobytes())]

    measure(call, outputs_file, iterations, outputs=tensors, load_s=0.0, facts={"answer": in_image.ANSWER})

serve(execute)
"""


def test_a_plugins_runtime_that_requires_it_runs_in_its_own_image(
    image: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provisioned: Callable[[str], Environment]
) -> None:
    home = tmp_path / "home"
    (home / "environments").mkdir(parents=True)
    monkeypatch.setenv("ISOBENCH_HOME", str(home))
    # The expected outputs come of it, outside of any container.
    ort = provisioned("ort").folder
    (home / "environments" / ort.name).symlink_to(ort)
    inside = plugin_world.install(
        tmp_path / "site", monkeypatch, PLUGIN, package="inside_plugin", workers__inside_worker_py=WORKER
    )
    spec = inside / "envs" / "inside"
    container_world.write_spec(spec, image, image_packages=True)
    lock = environments.spec("ort").lock_file.read_text()
    (spec / "requirements.in").write_text("msgpack\n")
    (spec / "requirements.txt").write_text(re.search(r"(?m)^msgpack==(.*\\\n)*.*\n", lock)[0])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    done = isobench("run", "-r", "inside", "--iterations", 10, "--json", model)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    assert result["runtime"]["version"] == "7.1"
    assert result["environment"]["provider"] == "container"
    assert result["environment"]["image_packages"] == ["isobench-in-image==7.1"]
    assert result["outcome"]["facts"]["answer"] == 42
    assert result["outcome"]["correctness"]["ok"]
    assert result["outcome"]["runs"][0]["cold_start"]["start_s"] > 0
    assert container_world.containers() == []
