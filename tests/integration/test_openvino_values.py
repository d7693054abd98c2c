"""Inputs and outputs of every type that OpenVINO has, in the real environment: one process for all files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from isobench.environments import Environment
from isobench.workers import protocol
from isobench.workers.protocol import Tensor

pytestmark = pytest.mark.integration

WORKERS = Path(__file__).parents[2] / "workers"
FLOAT = TensorProto.FLOAT
CODE = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import openvino, openvino_worker, protocol
dropped = {}
for name, inputs, outputs in json.loads(sys.argv[3]):
    given = {tensor.name: tensor for tensor in protocol.read_tensors(f"{sys.argv[2]}/{name}.inputs")}
    named = {each: given[each] for each in inputs}
    core = openvino.Core()
    network, _, dropped[name] = openvino_worker._read(core, f"{sys.argv[2]}/{name}.onnx", named)
    compiled = openvino_worker._compile(core, network, openvino_worker._config("f32", 1, pinning=False))
    bindings = [{"name": each, "source": each} for each in outputs]
    call, read_outputs = openvino_worker._bind(compiled, named, bindings)
    protocol.write_tensors(f"{sys.argv[2]}/{name}.outputs", read_outputs(call()))
print(json.dumps(dropped), flush=True)
os._exit(0)  # as launch.py does
"""
TYPES = {
    TensorProto.BFLOAT16: ml_dtypes.bfloat16,
    TensorProto.FLOAT8E4M3FN: ml_dtypes.float8_e4m3fn,
    TensorProto.FLOAT8E5M2: ml_dtypes.float8_e5m2,
    TensorProto.FLOAT16: np.float16,
    TensorProto.DOUBLE: np.float64,
    TensorProto.INT4: ml_dtypes.int4,
    TensorProto.UINT4: ml_dtypes.uint4,
    TensorProto.INT8: np.int8,
    TensorProto.UINT8: np.uint8,
    TensorProto.INT64: np.int64,
    TensorProto.BOOL: np.bool_,
}
VALUES = np.array([0, 1, 2, 3, 1], np.float32)


def tensor(name: str, array: Any) -> Tensor:
    values = np.asarray(array)
    return Tensor(name, values.dtype.name, values.shape, values.tobytes())


def info(name: str, kind: int, shape: Any) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


class Files:
    """ONNX files with their inputs, and what they have returned."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signatures: list[tuple[str, list[str], list[str]]] = []
        self.dropped: dict[str, list[str]] = {}

    def add(self, name: str, inputs: list[Any], outputs: list[Any], nodes: list[Any], given: list[Tensor]) -> None:
        graph = helper.make_graph(nodes, name, inputs, outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        onnx.save(model, self.folder / f"{name}.onnx")
        protocol.write_tensors(self.folder / f"{name}.inputs", given)
        self.signatures.append((name, [entry.name for entry in inputs], [entry.name for entry in outputs]))

    def run(self, python: Path) -> None:
        command = [str(python), "-c", CODE, str(WORKERS), str(self.folder), json.dumps(self.signatures)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.dropped = json.loads(done.stdout)

    def outputs(self, name: str) -> list[Tensor]:
        return protocol.read_tensors(self.folder / f"{name}.outputs")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, provisioned: Callable[[str], Environment]) -> Files:
    files, node = Files(tmp_path_factory.mktemp("files")), helper.make_node
    of_x, x = info("x", FLOAT, [5]), tensor("x", VALUES)
    for kind, numpy_type in TYPES.items():
        given = tensor("x", VALUES.astype(numpy_type))
        to_float, from_float = (node("Cast", ["x"], ["y"], to=target) for target in (FLOAT, kind))
        files.add(f"in_{kind}", [info("x", kind, [5])], [info("y", FLOAT, [5])], [to_float], [given])
        files.add(f"out_{kind}", [of_x], [info("y", kind, [5])], [from_float], [x])
    scalars = [tensor("x", np.float32(-2)), tensor("c", True)]
    files.add(
        "scalars",
        [info("x", FLOAT, []), info("c", TensorProto.BOOL, [])],
        [info("y", FLOAT, []), info("d", TensorProto.BOOL, [])],
        [node("Neg", ["x"], ["y"]), node("Not", ["c"], ["d"])],
        scalars,
    )
    # OpenVINO gives the input of Dropout, which does nothing, the name of its output.
    ratio = [of_x, info("ratio", FLOAT, [])]
    dropout = [node("Dropout", ["x", "ratio"], ["y"])]
    files.add("renamed", ratio, [info("y", FLOAT, [5])], dropout, [x, tensor("ratio", np.float32(0.5))])
    axes = [node("ReduceSum", ["x", "axes"], ["y"], keepdims=1)]
    no_axes = tensor("axes", np.zeros(0, np.int64))
    files.add("dropped", [of_x, info("axes", TensorProto.INT64, [0])], [info("y", FLOAT, [1])], axes, [x, no_axes])
    files.add("twice", [of_x], [info("y", FLOAT, [5])] * 2, [node("Relu", ["x"], ["y"])], [x])
    files.add("through", [of_x], [of_x, info("y", FLOAT, [5])], [node("Neg", ["x"], ["y"])], [x])
    non_zero = [node("NonZero", ["x"], ["y"])]
    files.add("non_zero", [of_x], [info("y", TensorProto.INT64, [1, None])], non_zero, [x])
    files.add("dynamic", [info("x", FLOAT, ["n"])], [info("y", FLOAT, ["n"])], [node("Relu", ["x"], ["y"])], [x])
    text = Tensor("x", "string", (2,), protocol.pack_strings(["Grüße", ""]))
    kind = TensorProto.STRING
    files.add("text", [info("x", kind, [2])], [info("y", kind, [2])], [node("Identity", ["x"], ["y"])], [text])
    files.run(provisioned("openvino").python)
    return files


@pytest.mark.parametrize("kind", TYPES)
def test_the_values_of_a_type_are_carried_in_and_out(ran: Files, kind: int) -> None:
    wanted = VALUES.astype(TYPES[kind])
    assert ran.outputs(f"in_{kind}") == [tensor("y", wanted.astype(np.float32))]
    assert ran.outputs(f"out_{kind}") == [tensor("y", wanted)]


def test_scalars_and_text_are_carried(ran: Files) -> None:
    assert ran.outputs("scalars") == [tensor("y", np.float32(2)), tensor("d", False)]
    assert [protocol.unpack_strings(each.data) for each in ran.outputs("text")] == [["Grüße", ""]]


def test_inputs_that_openvino_renames_or_drops_are_found(ran: Files) -> None:
    assert ran.outputs("renamed") == [tensor("y", VALUES)]
    assert ran.outputs("dropped") == [tensor("y", VALUES.sum(keepdims=True))]
    assert {name: inputs for name, inputs in ran.dropped.items() if inputs} == {"dropped": ["axes"]}


def test_outputs_of_unknown_size_listed_twice_or_passed_through_are_returned(ran: Files) -> None:
    assert ran.outputs("non_zero") == [tensor("y", np.array([[1, 2, 3, 4]]))]
    assert ran.outputs("dynamic") == ran.outputs("twice") == [tensor("y", VALUES)]
    assert ran.outputs("through") == [tensor("x", VALUES), tensor("y", -VALUES)]
