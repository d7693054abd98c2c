"""Sequences of tools with real models: exported, optimized, converted and measured."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from isobench.environments import Environment
from isobench.workers import protocol

pytestmark = pytest.mark.integration

MODELS = Path(__file__).parents[2] / "examples" / "models" / "two_models.py"
QUICK = ["--iterations", "20", "--warmup", "5"]


@pytest.fixture(autouse=True)
def environments_of_the_tools(home: Path, provisioned: Callable[[str], Environment]) -> None:
    for name in ("ort", "torch", "onnx"):
        provisioned(name)


def sequence(*arguments: str | Path, code: int = 0) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "isobench", "sequence", "--json", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == code, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout) if done.stdout else []
    return found


def build_of(home: Path, result: dict[str, Any]) -> Path:
    return home / "builds" / result["model"]["build"]


def test_each_tool_works_on_the_result_of_the_one_before_and_results_list_the_steps(home: Path) -> None:
    script = f"{MODELS}::e01e279c"
    measured = ["benchmark", "--runtime", "ort", "--device", "x86", *QUICK]
    tools = ["discover", "export-pytorch", "--opset", "18", *measured, "verify-export", "optimize-ort", "convert-fp16"]
    plain, half = sequence("-i", script, *tools, "verify-export", *measured, "--rt-args", "spinning::false")
    assert [step["tool"] for step in plain["steps"]] == ["discover", "export-pytorch", "benchmark"]
    assert plain["steps"][1]["options"] == {"opset": 18}
    assert plain["model"]["onnx_opset"] == plain["settings"]["opset"] == 18
    assert [step["tool"] for step in half["steps"] if step["alters"]] == ["optimize-ort", "convert-fp16"]
    assert half["runtime"]["arguments"]["spinning"] is False
    for result in (plain, half):
        assert result["outcome"]["correctness"]["reasons"] == []
        assert result["outcome"]["latency"]["iterations"] == 20
    # It really is in float16: weights, inputs, outputs, and the tolerance.
    graph = onnx.load(build_of(home, half) / "model.onnx").graph
    assert {weight.data_type for weight in graph.initializer} <= {TensorProto.FLOAT16, TensorProto.INT64}
    assert TensorProto.FLOAT16 in {weight.data_type for weight in graph.initializer}
    assert {entry["dtype"] for entry in half["model"]["inputs"]} == {"float16"}
    [compared] = half["outcome"]["correctness"]["tensors"]
    assert (compared["dtype"], compared["arithmetic"]) == ("float16", "float16")
    assert 0.01 <= compared["tolerance"] < 0.02
    assert 0 < compared["worst_absolute"] < 0.01
    expected = protocol.read_tensors(build_of(home, half) / "expected.msgpack")
    assert [tensor.dtype for tensor in expected] == ["float16"]
    assert plain["outcome"]["correctness"]["tensors"][0]["tolerance"] == 1e-4
    listed = subprocess.run(
        [sys.executable, "-m", "isobench", "show", half["id"]], capture_output=True, text=True, check=True
    ).stdout
    assert "after optimize-ort --level basic, convert-fp16" in listed
    steps = "steps discover, export-pytorch --opset 18, benchmark --runtime ort --device x86 "
    assert steps in " ".join(listed.split())
    assert ", verify-export, optimize-ort --level basic, convert-fp16, verify-export, benchmark" in listed


def test_a_runtime_of_the_module_needs_no_export_and_builds_are_reused(home: Path) -> None:
    script = f"{MODELS}::e01e279c"
    tools = ["discover", "benchmark", "--runtime", "torch-eager", *QUICK]
    [result] = sequence("-i", script, *tools)
    assert result["outcome"]["correctness"]["ok"]
    assert not (build_of(home, result) / "model.onnx").exists()
    before = sorted(path.name for path in (home / "builds").iterdir())
    sequence("-i", script, *tools)
    assert sorted(path.name for path in (home / "builds").iterdir()) == before


def test_an_onnx_file_is_loaded_optimized_and_converted(tmp_path: Path, home: Path) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 2]) for name in "xy")
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [0.1, 0.2, 0.3, 0.4])
    dead = helper.make_tensor("dead", TensorProto.FLOAT, [2], [1.0, 2.0])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["dead", "dead"], ["constant"]),
        helper.make_node("Add", ["p", "constant"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "by-hand", [x], [y], [weight, dead])
    file = tmp_path / "small file.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    loaded = ["load-onnx", "--dim", "rows=3"]
    [lean] = sequence("-i", file, *loaded, "optimize-ort", "benchmark", *QUICK)
    assert len(onnx.load(build_of(home, lean) / "model.onnx").graph.node) < 3, "the constants were folded"
    [half] = sequence("-i", file, *loaded, "convert-fp16", "benchmark", *QUICK)
    assert lean["model"]["hash"] == half["model"]["hash"]
    assert half["outcome"]["correctness"]["ok"]
    big = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1e6, 2e6, 3e6, 4e6])
    graph.initializer[0].CopyFrom(big)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    [failed] = sequence("-i", file, *loaded, "convert-fp16", "benchmark", *QUICK, code=3)
    assert "beyond the range of float16 (65504)" in failed["outcome"]["message"]


def test_an_optimized_transformer_is_optimized_again_by_the_runtime_that_loads_it(home: Path) -> None:
    # ONNX Runtime would give the new shapes of its fused operators the same names a second time, and refuse the file.
    small = "--script-args=--layers=1 --tokens=16"
    measured = ["benchmark", "--runtime", "ort", "--device", "x86", *QUICK]
    script = MODELS.with_name("bert.py")
    plain, half = sequence("-i", script, small, "optimize-fp32", *measured, "convert-fp16", "verify-export", *measured)
    for result in (plain, half):
        assert result["outcome"]["correctness"]["ok"], result["outcome"]
    weights = onnx.load(build_of(home, plain) / "model.onnx", load_external_data=False).graph.initializer
    assert any(weight.name.endswith(".optimized.1") for weight in weights), "the optimiser made new ones"


DIFFERENT = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x):
        return self.linear(x) + (1 if torch.compiler.is_exporting() else 0)

torch.manual_seed(0)
Net()(torch.randn(2, 4))
"""


def test_an_export_with_different_outputs_is_found(tmp_path: Path) -> None:
    script = tmp_path / "different.py"
    script.write_text(DIFFERENT)
    command = [sys.executable, "-m", "isobench", "sequence", "-i", script, "onnx-fp32"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    assert re.search(r"different::\w+ \(float32\[2, 4\]\)  in ", done.stderr)
    assert "done: discover, export-pytorch; no benchmark tool, so nothing was measured" in done.stderr
    done = subprocess.run([*command, "verify-export"], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 3
    assert "differ from the model's" in done.stderr


def test_the_probabilities_of_a_classifier_stay_float32_in_float16(tmp_path: Path) -> None:
    """The converter leaves ZipMap as it is, so its maps hold float32 as before."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])
    maps = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    y = helper.make_value_info("y", helper.make_sequence_type_proto(maps))
    nodes = [
        helper.make_node("Softmax", ["x"], ["p"]),
        helper.make_node("ZipMap", ["p"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[3, 7]),
    ]
    graph = helper.make_graph(nodes, "classifier", [x], [y])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    file = tmp_path / "classifier.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), file)
    [half] = sequence("-i", file, "load-onnx", "convert-fp16", "benchmark", "--iterations", "1", "--warmup", "1")
    compared = {one["name"]: (one["dtype"], one["ok"]) for one in half["outcome"]["correctness"]["tensors"]}
    assert compared == {"y.keys": ("int64", True), "y.values": ("float32", True)}
