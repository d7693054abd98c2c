"""Outputs that are not wrong: of models that amplify rounding, are quantised or random, or choose between near ties."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isobench.environments import Environment

pytestmark = pytest.mark.integration

RNG = np.random.default_rng(0)


def saved(
    path: Path, nodes: list[onnx.NodeProto], shape: list[int], weights: list[onnx.TensorProto], outputs: dict[str, int]
) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        weights,
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opsets, ir_version=8)), path)
    return path


def measured(home: Path, *arguments: object) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "isobench", "run", "--json", "--iterations", "1", "--warmup", "1"]
    environment = {**os.environ, "ISOBENCH_HOME": str(home)}
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return list(json.loads(done.stdout))


def chain(depth: int) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Convolutions with He's initialisation, which amplify rounding more with each layer."""
    nodes, weights, data = [], [], "x"
    for layer in range(depth):
        values = RNG.standard_normal((8, 8, 3, 3)) * (2 / 72) ** 0.5
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"w{layer}"))
        nodes.append(helper.make_node("Conv", [data, f"w{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        data = f"r{layer}"
    return nodes, weights


@pytest.fixture(scope="module")
def results(
    tmp_path_factory: pytest.TempPathFactory, provisioned: Callable[[str], Environment]
) -> dict[str, dict[str, Any]]:
    """Four models, measured once on ort."""
    folder, home = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("home")
    (home / "environments").symlink_to(provisioned("ort").prefix.parent)
    nodes, weights = chain(60)
    choice = helper.make_node("ArgMax", ["r59"], ["best"], axis=1)
    outputs = {"r59": TensorProto.FLOAT, "best": TensorProto.INT64}
    deep = saved(folder / "deep.onnx", [*nodes, choice], [1, 8, 16, 16], weights, outputs)
    rate = numpy_helper.from_array(np.float32(0.5), "rate")
    training = numpy_helper.from_array(np.array(True), "training")
    dropout = helper.make_node("Dropout", ["x", "rate", "training"], ["y"])
    random = saved(folder / "random.onnx", [dropout], [4, 8], [rate, training], {"y": TensorProto.FLOAT})
    scale = numpy_helper.from_array(np.float32(0.05), "s")
    steps = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s"], ["y"]),
    ]
    quantised = saved(folder / "quantised.onnx", steps, [4, 8], [scale], {"y": TensorProto.FLOAT})
    wide = helper.make_node("Cast", ["h"], ["y"], to=TensorProto.FLOAT)
    inner = [
        helper.make_node("Cast", ["x"], ["g"], to=TensorProto.FLOAT16),
        helper.make_node("Tanh", ["g"], ["h"]),
        wide,
    ]
    half = saved(folder / "half.onnx", inner, [4, 8], [], {"y": TensorProto.FLOAT})
    found = measured(home, "-r", "ort", deep, random, quantised, half)
    return {one["model"]["name"]: one for one in found}


def outputs_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    return list(result["outcome"]["correctness"]["tensors"])


def test_a_deep_network_gets_the_tolerance_of_its_own_amplification(results: dict[str, dict[str, Any]]) -> None:
    values, best = outputs_of(results["deep"])
    assert values["outcome"] == "correct"
    assert values["amplification"] > 50
    assert values["tolerance"] == pytest.approx(max(1e-4, 16 * values["amplification"] * 2**-23), rel=1e-6)
    assert (best["dtype"], best["outcome"]) == ("int64", "correct")


def test_a_model_that_is_random_on_purpose_is_measured_and_not_compared(results: dict[str, dict[str, Any]]) -> None:
    result = results["random"]
    assert [output["outcome"] for output in outputs_of(result)] == ["random"]
    assert result["model"]["deterministic"] is False
    assert any("random: not compared" in reason for reason in result["outcome"]["verdict"]["reasons"])


def test_a_quantised_output_says_its_step(results: dict[str, dict[str, Any]]) -> None:
    [output] = outputs_of(results["quantised"])
    assert output["step"] == pytest.approx(0.05)
    assert output["arithmetic"] == "int8"


def test_the_narrowest_arithmetic_inside_decides_on_the_tolerance(results: dict[str, dict[str, Any]]) -> None:
    [output] = outputs_of(results["half"])
    assert (output["dtype"], output["arithmetic"]) == ("float32", "float16")
    assert output["tolerance"] >= 1e-2
