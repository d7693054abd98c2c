"""TensorRT as far as it goes without a GPU: TensorRT-RTX parses and builds; TensorRT's own bindings have the names."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isobench import paths
from isobench.environments import Environment
from isobench.environments.uv import command
from isobench.workers import protocol
from isobench.workers.protocol import Tensor

pytestmark = pytest.mark.integration

BUILD = Path(__file__).parents[1] / "samples" / "trt" / "build.py"
BINDINGS = "tensorrt-cu13-bindings==11.4.0.106"


@pytest.fixture(scope="module")
def python(provisioned: Callable[[str], Environment]) -> Path:
    """The interpreter of the real tensorrt-rtx environment."""
    return provisioned("tensorrt-rtx").python


def _saved(folder: Path, *nodes: onnx.NodeProto, size: int | str = 4, more: Sequence[onnx.ValueInfoProto] = ()) -> Path:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [size, 8])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    weights = [numpy_helper.from_array(np.ones((8, 3), np.float32), "w")]
    graph = helper.make_graph(list(nodes), "small", [given, *more], [result], weights)
    file = folder / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file


def _built(python: Path, file: Path, **more: Any) -> Any:
    values = {"x": np.zeros((4, 8), np.float32), **more}
    inputs = [Tensor(name, str(value.dtype), value.shape, value.tobytes()) for name, value in values.items()]
    protocol.write_tensors(file.with_suffix(".msgpack"), inputs)
    arguments = [paths.WORKERS, file, file.with_suffix(".timings"), file.with_suffix(".msgpack")]
    done = subprocess.run([python, "-I", "-B", BUILD, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("size", [4, "batch"])
def test_the_workers_code_builds_a_real_engine_and_reports_that_it_cannot_be_loaded(
    python: Path, tmp_path: Path, size: int | str
) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])]
    reported = _built(python, _saved(tmp_path, *nodes, size=size))
    assert reported["library"] == "tensorrt_rtx"
    assert (reported["workspace"], reported["optimization"], reported["tf32"]) == (1 << 28, 2, True)
    assert reported["capturable"]
    for built in reported["builds"]:
        assert built["build_s"] > 0
        assert built["size_bytes"] > 1000
        assert re.fullmatch("[0-9a-f]{64}", built["sha256"])
    # A cache of another version counts as empty.
    assert [built["timing_cache"] for built in reported["builds"]] == ["none", "cold", "cold"]
    assert (tmp_path / "small.timings").stat().st_size > 0
    # Without a GPU, TensorRT returns None instead of an engine: that must be an error.
    assert reported["refused"]["kind"] == "device-missing"
    assert "TensorRT can't load the engine that it built" in reported["refused"]["message"]
    assert "isobench doctor --device nvidia" in reported["refused"]["hint"]


@pytest.mark.parametrize("size", [4, "batch"])
@pytest.mark.parametrize(
    ("operator", "values"), [("Reshape", np.array([8, 4])), ("Expand", np.array([2, 4, 8], np.int64))]
)
def test_an_input_that_determines_shapes_is_built_for_its_values(
    python: Path, tmp_path: Path, operator: str, values: Any, size: int | str
) -> None:
    shape = helper.make_tensor_value_info("shape", TensorProto.INT64, values.shape)
    file = _saved(tmp_path, helper.make_node(operator, ["x", "shape"], ["y"]), size=size, more=[shape])
    reported = _built(python, file, shape=values)
    assert len(reported["builds"]) == 3, reported


def test_an_input_that_the_parser_has_renamed_is_refused(python: Path, tmp_path: Path) -> None:
    file = _saved(tmp_path, helper.make_node("Relu", ["x"], ["y"]))
    model = onnx.load(file)
    model.graph.output.append(model.graph.input[0])
    onnx.save(model, file)
    refused = _built(python, file)["refused"]
    assert refused["kind"] == "model-error"
    assert refused["message"].endswith("which isn't supported yet: __x")


def test_a_parse_error_names_the_node(python: Path, tmp_path: Path) -> None:
    node = helper.make_node("NoSuchOperator", ["x"], ["y"], name="/head/odd", domain="")
    reported = _built(python, _saved(tmp_path, node))
    assert reported["refused"]["kind"] in {"model-error", "unsupported-operator"}
    message = reported["refused"]["message"]
    assert message.startswith("TensorRT can't parse small.onnx: node /head/odd (NoSuchOperator): ")
    assert "-r ort" in reported["refused"]["hint"]


def test_tensorrts_own_bindings_have_every_name_that_the_worker_uses(python: Path, tmp_path: Path) -> None:
    """Only the wheel of the bindings is available here, without the libraries; its compiled module has all names."""
    env, _ = command.environment()
    target = tmp_path / "bindings"
    subprocess.run(
        [
            command.binary(),
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            target,
            "--python",
            sys.executable,
            *command.environment()[1],
            BINDINGS,
        ],
        check=True,
        env=env,
    )
    [module] = target.glob("tensorrt_bindings/tensorrt*.so")
    [rtx] = python.parents[1].glob("lib/python3*/site-packages/tensorrt_rtx_bindings/tensorrt*.so")
    used = _used("trt_engine.py") | _used("trt_worker.py")
    assert {"execute_async_v3", "set_tensor_address", "build_serialized_network", "STRONGLY_TYPED"} <= used
    assert used - _names(rtx) == set()
    assert used - _names(module) == RTX_ALONE


# Names that are looked up in TensorRT's objects: attributes of these variables, and arguments of getattr.
OBJECTS = {
    "trt",
    "builder",
    "network",
    "parser",
    "config",
    "profile",
    "engine",
    "context",
    "runtime",
    "cache",
    "error",
    "ILogger",
    "Severity",
    "BuilderFlag",
    "MemoryPoolType",
    "TensorLocation",
    "NetworkDefinitionCreationFlag",
    "tensor",
    "made",
    "plan",
    "strategies",
}
RTX_ALONE = {
    "REQUIRE_USER_ALLOCATION",
    "DynamicShapesKernelSpecializationStrategy",
    "EAGER",
    "dynamic_shapes_kernel_specialization_strategy",
}
NOT_TENSORRTS = {"__name__", "__version__", "name", "shape", "data", "dtype", "append", "read"}


def _names(module: Path) -> set[str]:
    """The words in a compiled module, among which are all names that it has for Python."""
    return {word.decode() for word in re.findall(rb"[A-Za-z_][A-Za-z_0-9]{2,}", module.read_bytes())}


def _used(worker: str) -> set[str]:
    """The names that a worker looks up in TensorRT's objects."""
    found = set()
    for node in ast.walk(ast.parse((paths.WORKERS / worker).read_text())):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if owner in OBJECTS:
                found.add(node.attr)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr" and len(node.args) == 3:
            found.add(ast.literal_eval(node.args[1]))
    return found - NOT_TENSORRTS
