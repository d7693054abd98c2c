"""From a solve to a measured result in a conda environment: what a lab does, on a channel that lies on this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import conda_world
import local_channel
import loopback
import onnx
import pytest
from onnx import TensorProto, helper

import isobench
from isobench import paths

pytestmark = pytest.mark.integration


@pytest.fixture
def model(tmp_path: Path) -> Path:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    path = tmp_path / "relu.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def isobench_(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "isobench", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def test_a_model_is_measured_in_a_conda_environment_from_solve_to_result(
    server: loopback.ChannelServer, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "envs"
    shutil.copytree(paths.ENVS / "ort", own / "ort", ignore=shutil.ignore_patterns("conda-lock.yml", "environment.yml"))
    text = conda_world.environment_yml(server.url("none"), "greeter", name="ort")
    (own / "ort" / "environment.yml").write_text(text)
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ISOBENCH_ENVS", str(own))

    locked = isobench_("env", "lock", "ort").stdout
    assert f"ort: {local_channel.SUBDIR}: python - -> {local_channel.VERSION}" in locked.splitlines()
    assert isobench_("env", "lock", "ort", "--check").stdout == "ort: no changes\n"
    created = isobench_("env", "create", "ort")
    assert (
        "ort: using provider conda (rattler and uv, from conda-lock.yml and requirements.txt)"
        in created.stderr.splitlines()
    )
    [result] = json.loads(isobench_("run", "-r", "ort", "--iterations", "20", "--json", model).stdout)

    environment: dict[str, Any] = result["environment"]
    assert result["outcome"]["status"] == "measured"
    assert result["outcome"]["correctness"]["ok"]
    assert environment["provider"] == "conda"
    assert environment["conda_lock_sha256"]
    assert f"python={local_channel.VERSION}=0_cpython" in environment["conda_packages"]
    assert any(package.startswith("onnxruntime==") for package in environment["packages"])
    assert isobench_("env", "diff", "ort", result["id"]).stdout == "the same packages\n"
    assert isobench_("env", "verify", "ort").stdout == "ort: unchanged since its installation\n"
    assert "ort, conda, Python" in isobench_("show", result["id"]).stdout

    # The same interpreter once more, as one that was there before isobench came.
    folder = Path(isobench_("env", "path", "ort").stdout.strip())
    isobench_("env", "adopt", "ort", folder)
    [again] = json.loads(
        isobench_("run", "-r", "ort", "--iterations", "20", "--json", "--provider", "adopted", model).stdout
    )
    assert again["environment"]["provider"] == "adopted"
    assert again["environment"]["lock_sha256"] == again["environment"]["lock_file"] == ""
    assert again["environment"]["packages"] == environment["packages"]
    assert again["environment"]["conda_packages"] == environment["conda_packages"]
    assert "the interpreter was adopted" in isobench_("show", again["id"]).stdout
    assert isobench.__version__ == again["isobench"]
