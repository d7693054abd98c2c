"""Sizes of ONNX files are fixed in the graph that a runtime gets, whatever their names are."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from isobench import builds, environments, paths
from isobench.builds import Build
from isobench.planning.models import Model
from isobench.planning.settings import Settings
from isobench.workers import protocol

pytestmark = pytest.mark.integration

SETTINGS = Settings(threads=1, timeout_s=120)
NODES = """
import json, sys
sys.path.insert(0, sys.argv[1])
import onnxruntime, ort_session
options = onnxruntime.SessionOptions()
ort_session.fix_sizes(options, json.loads(sys.argv[2]))
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
options.optimized_model_filepath = sys.argv[4]
onnxruntime.InferenceSession(sys.argv[3], options, providers=["CPUExecutionProvider"])
"""


@pytest.fixture(autouse=True)
def own_home(home: Path, ort_python: Path) -> None:
    """Builds of their own, in the environments of all tests."""


def saved(path: Path, shape: list[object] | None) -> Path:
    """Adds zeros of the input's own shape: with fixed sizes, ONNX Runtime folds them."""
    nodes = [
        helper.make_node("Shape", ["x"], ["sizes"]),
        helper.make_node("ConstantOfShape", ["sizes"], ["zeros"]),
        helper.make_node("Add", ["x", "zeros"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def make(path: Path, **sizes: object) -> Build:
    model = Model(path=path, **sizes)  # type: ignore[arg-type]
    environment = environments.find(environments.spec("ort"))
    assert environment is not None
    [build] = builds.make(model, onnx=True, environment=environment, settings=SETTINGS, on_stage=lambda _: None)
    return build


def optimized(python: Path, model: dict[str, object], file: Path | None, target: Path) -> list[str]:
    """The operators that ONNX Runtime runs."""
    words = [str(paths.WORKERS), json.dumps(model), str(file), str(target)]
    subprocess.run([python, "-B", "-c", NODES, *words], check=True, env={"CI": "true", "ORT_DISABLE_TELEMETRY": "1"})
    return [node.op_type for node in onnx.load(target).graph.node]


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        (["batch", "past + 1", 8], {"dimensions": {"batch": 2, "past": 0}}),
        (["?", "?", 8], {"shapes": {"x": (2, 1, 8)}}),
        ([None, None, 8], {"shapes": {"x": (2, 1, 8)}}),
        (None, {"shapes": {"x": (2, 1, 8)}}),
    ],
)
def test_onnx_runtime_folds_what_depends_on_sizes(
    tmp_path: Path, ort_python: Path, shape: list[object] | None, sizes: dict[str, object]
) -> None:
    path = saved(tmp_path / "m.onnx", shape)
    build = make(path, **sizes)
    assert build.signature == "(x=float32[2, 1, 8])"
    assert optimized(ort_python, {}, path, tmp_path / "open.onnx") == ["Shape", "ConstantOfShape", "Add"]
    assert optimized(ort_python, build.request(), build.onnx_file, tmp_path / "fixed.onnx") == ["Add"]
    assert any(note.startswith("sizes fixed before the graph is optimized") for note in build.notes)
    [expected] = protocol.read_tensors(build.expected_file)
    assert expected.shape == (2, 1, 8)
