"""Inputs of the user's own: given by files and rules, measured, shown, saved and given again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isobench import builds, environments
from isobench.builds import element_types
from isobench.environments import Environment
from isobench.planning.models import Model
from isobench.planning.settings import Settings
from isobench.workers import protocol

pytestmark = pytest.mark.integration

ONCE = ["--iterations", "1", "--warmup", "1", "--threads", "1"]
X = np.arange(8, dtype=np.float32).reshape(2, 4)

SCRIPT = """
import torch


class Scaled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(10, 4)

    def forward(self, ids, scale, mask=None):
        return self.table(ids) * scale * mask


torch.manual_seed(0)
Scaled()(torch.zeros(2, 3, dtype=torch.long), torch.ones(1), mask=torch.ones(2, 3, 1))
"""


@pytest.fixture(autouse=True)
def own_home(home: Path, provisioned: Callable[[str], Environment]) -> None:
    provisioned("torch")
    provisioned("ort")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """y = x + x, of a dynamic number of rows."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [x], [y])
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def data_set(folder: Path, *, inputs: list[Any], outputs: list[Any]) -> Path:
    folder.mkdir()
    for kind, arrays in (("input", inputs), ("output", outputs)):
        for place, array in enumerate(arrays):
            (folder / f"{kind}_{place}.pb").write_bytes(numpy_helper.from_array(array).SerializeToString())
    return folder


def isobench_(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "isobench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def make(path: Path, *, onnx: bool = True, **model: Any) -> list[builds.Build]:
    chosen = Model(path=path, **model)
    environment = environments.find(environments.spec("torch" if chosen.is_script else "ort"))
    assert environment is not None
    settings = Settings(threads=1, timeout_s=120)
    return builds.make(chosen, onnx=onnx, environment=environment, settings=settings, on_stage=lambda _: None)


def test_outputs_that_were_given_are_the_expected_ones(model: Path, tmp_path: Path) -> None:
    right = data_set(tmp_path / "test_data_set_0", inputs=[X], outputs=[X + X])
    wrong = data_set(tmp_path / "test_data_set_1", inputs=[X], outputs=[X + X + 1])
    for folder, code in ((right, 0), (wrong, 7)):
        done = isobench_("run", "-r", "ort", "--json", *ONCE, model, "--inputs", folder)
        assert done.returncode == code, done.stderr
        [result] = json.loads(done.stdout)
        assert result["model"]["reference"] == f"given: {folder.name}"
        [values] = result["model"]["input_values"]
        assert (values["rule"], values["low"], values["high"]) == (f"given: {folder.name}", 0, 7)
        assert values["shape"] == [2, 4]


def test_given_outputs_suffice_where_onnx_runtime_cannot_run_the_model(tmp_path: Path) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Unheard", ["x"], ["y"], domain="of.nobody")], "g", [x], [y])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("of.nobody", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    folder = data_set(tmp_path / "test_data_set_0", inputs=[X], outputs=[X])
    [build] = make(tmp_path / "m.onnx", inputs=(folder,))
    assert protocol.read_tensors(build.expected_file) == [element_types.to_tensor("y", X)]
    assert any(note.startswith("the given outputs are the only expected ones: ") for note in build.notes)


def test_a_build_depends_on_the_files_of_its_inputs(model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=X)
    environment = environments.find(environments.spec("ort"))
    assert environment is not None
    settings = Settings(threads=1, timeout_s=120)
    chosen = Model(path=model, inputs=(tmp_path / "x.npz",))
    [build] = make(model, inputs=(tmp_path / "x.npz",))
    [again] = builds.find(chosen, onnx=True, environment=environment, settings=settings) or [None]
    assert again is not None
    assert again.id == build.id
    np.savez(tmp_path / "x.npz", x=X + 1)
    assert builds.find(chosen, onnx=True, environment=environment, settings=settings) is None
    other = Model(path=model, fill={"x": "ones"}, dimensions={"rows": 2})
    assert builds.find(other, onnx=True, environment=environment, settings=settings) is None


def test_the_values_of_a_scripts_call_are_replaced_for_every_runtime(tmp_path: Path) -> None:
    script = tmp_path / "scaled.py"
    script.write_text(SCRIPT)
    ids = np.array([[1, 2, 3], [4, 5, 9]])
    np.savez(tmp_path / "x.npz", ids=ids.astype(np.int32))
    [own] = make(script, onnx=False)
    [build] = make(script, inputs=(tmp_path / "x.npz",), fill={"scale": "2", "kwargs.mask": "3"})
    tensors = {one.name: element_types.to_array(one) for one in protocol.read_tensors(build.inputs_file)}
    np.testing.assert_array_equal(tensors["args.0"], ids)
    assert tensors["args.1"].tolist() == [2]
    assert (own.hash, own.id != build.id) == (build.hash, True)
    rules = {one.parameter: one.rule for one in build.input_values}
    assert rules == {"ids": "given: x.npz (converted from int32)", "scale": "2", "mask": "3"}
    assert {one.rule for one in own.input_values} == {"the script's own"}
    done = isobench_(
        "run", "-r", "ort", "-r", "torch-eager", *ONCE, script, "--inputs", tmp_path / "x.npz", "--fill", "args.1=2"
    )
    assert done.returncode == 0, done.stderr
    assert "inputs: ids given: x.npz (converted from int32) [1, 9], scale 2 [2]" in done.stdout
    assert done.stdout.count("correct") == 2
    refused = isobench_("run", "-r", "ort", *ONCE, script, "--fill", "nothing=1")
    assert "no input 'nothing' in scaled" in refused.stdout
    assert "It has: args.0 (ids), args.1 (scale), kwargs.mask (mask)." in refused.stdout


def test_inputs_are_saved_edited_and_given_again(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    done = isobench_("inputs", model, "--dim", "rows=3", "-o", file)
    assert done.returncode == 0, done.stderr
    assert "x: float32[3, 4], standard normal" in done.stdout
    np.savez(file, x=np.load(file)["x"] * 0 + 5)
    done = isobench_("inputs", model, "--inputs", file)
    assert "x: float32[3, 4], given: x.npz [5]" in done.stdout


def test_several_sets_are_measured_in_rotation_and_each_is_compared(model: Path, tmp_path: Path) -> None:
    sets = [
        data_set(tmp_path / f"test_data_set_{number}", inputs=[X + number], outputs=[2 * (X + number)])
        for number in range(3)
    ]
    twice = ["--iterations", "6", "--warmup", "3", "--threads", "1"]
    done = isobench_("run", "-r", "ort", "--json", *twice, model, "--inputs", tmp_path / "test_data_set_*")
    assert done.returncode == 0, done.stderr
    [result] = json.loads(done.stdout)
    assert result["model"]["input_sets"] == [folder.name for folder in sets]
    compared = result["outcome"]["input_sets"]
    assert [one["name"] for one in compared["sets"]] == [folder.name for folder in sets]
    assert compared["depends"] is None  # six iterations are one block
    (sets[2] / "output_0.pb").write_bytes(numpy_helper.from_array(X).SerializeToString())
    done = isobench_("run", "-r", "ort", *twice, model, "--inputs", tmp_path / "test_data_set_*")
    assert done.returncode == 7
    assert "with test_data_set_2: output 'y'" in done.stdout
    done = isobench_("run", "-r", "ort", *ONCE, model, "--inputs", tmp_path / "test_data_set_*")
    assert "--iterations must be a multiple of the number of sets of inputs, 3, got 1" in done.stdout


def test_the_torch_runtimes_measure_several_sets_of_a_scripts_call(tmp_path: Path) -> None:
    script = tmp_path / "scaled.py"
    script.write_text(SCRIPT)
    for number in range(2):
        np.savez(tmp_path / f"{number}.npz", ids=np.full((2, 3), number))
    done = isobench_(
        "run",
        "-r",
        "torch-eager",
        "--json",
        "--iterations",
        "4",
        "--warmup",
        "2",
        script,
        "--inputs",
        tmp_path / "?.npz",
    )
    assert done.returncode == 0, done.stderr
    [result] = json.loads(done.stdout)
    assert [one["name"] for one in result["outcome"]["input_sets"]["sets"]] == ["0.npz", "1.npz"]
    assert result["outcome"]["correctness"]["ok"]
