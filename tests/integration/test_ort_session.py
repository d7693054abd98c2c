"""What ONNX Runtime's workers bind, and what they return, in the real environment: one process for all files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import isobench
from isobench.reports import details
from isobench.results import Failed, Measured
from isobench.workers import protocol
from isobench.workers.protocol import Tensor

pytestmark = pytest.mark.integration

WORKERS = Path(__file__).parents[2] / "workers"
FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
# Runs each file given twice after the preparation, and writes what the second run and the reference returned.
CODE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import onnxruntime, ort_session, protocol
onnxruntime.set_default_logger_severity(4)
facts = {}
for name in sys.argv[3:]:
    file = f"{sys.argv[2]}/{name}.onnx"
    given = {tensor.name: tensor for tensor in protocol.read_tensors(f"{sys.argv[2]}/{name}.inputs")}
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    bindings = [{"name": one.name, "source": one.name} for one in session.get_inputs()]
    outputs = [{"name": one.name, "source": one.name} for one in session.get_outputs()]
    values = ort_session.values(session, given, bindings)
    inference = ort_session.prepare(session, values, outputs, file)
    for _ in range(3):
        value = inference.call()
    protocol.write_tensors(f"{sys.argv[2]}/{name}.timed", inference.read_outputs(value))
    expected = ort_session.evaluate(session, ort_session.values(session, given))
    protocol.write_tensors(f"{sys.argv[2]}/{name}.expected", expected)
    facts[name] = inference.facts
print(json.dumps(facts))
"""


def tensor(name: str, array: Any) -> Tensor:
    values = np.asarray(array)
    return Tensor(name, values.dtype.name, values.shape, values.tobytes())


def text(name: str, texts: list[str]) -> Tensor:
    return Tensor(name, "string", (len(texts),), protocol.pack_strings(texts))


def info(name: str, kind: int, shape: Any) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def sequence(name: str, kind: int) -> Any:
    return helper.make_tensor_sequence_value_info(name, kind, None)


class Files:
    """ONNX files with their inputs, and what they have returned."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[str] = []
        self.facts: dict[str, Any] = {}

    def add(
        self, name: str, inputs: list[Any], outputs: list[Any], nodes: list[Any], given: list[Tensor], **weights: Any
    ) -> None:
        initializers = [numpy_helper.from_array(np.asarray(array), key) for key, array in weights.items()]
        graph = helper.make_graph(nodes, name, inputs, outputs, initializers)
        imports = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
        onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=10), self.folder / f"{name}.onnx")
        protocol.write_tensors(self.folder / f"{name}.inputs", given)
        self.names.append(name)

    def run(self, python: Path) -> None:
        command = [str(python), "-c", CODE, str(WORKERS), str(self.folder), *self.names]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.facts = json.loads(done.stdout)

    def timed(self, name: str) -> list[Tensor]:
        return protocol.read_tensors(self.folder / f"{name}.timed")

    def expected(self, name: str) -> list[Tensor]:
        return protocol.read_tensors(self.folder / f"{name}.expected")

    def unbound(self, name: str) -> dict[str, str]:
        reasons: dict[str, str] = self.facts[name].get("unbound_outputs", {})
        return reasons


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, ort_python: Path) -> Files:
    files = Files(tmp_path_factory.mktemp("files"))
    x = tensor("x", np.array([1, 0, -1], np.float32))
    of_x, node = info("x", FLOAT, [3]), helper.make_node
    files.add("plain", [of_x], [info("y", FLOAT, [3])], [node("Relu", ["x"], ["y"])], [x])
    files.add("dynamic", [info("x", FLOAT, ["n"])], [info("y", FLOAT, ["n"])], [node("Relu", ["x"], ["y"])], [x])
    files.add("non_zero", [of_x], [info("y", INT64, [1, None])], [node("NonZero", ["x"], ["y"])], [x])
    files.add(
        "declared_wrong",
        [info("x", FLOAT, ["n"])],
        [info("y", FLOAT, [9]), info("z", FLOAT, ["n"])],
        [node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["z"])],
        [x],
    )
    files.add("twice", [of_x], [info("y", FLOAT, [3])] * 2, [node("Relu", ["x"], ["y"])], [x])
    random = [
        node("RandomUniform", [], ["r"], shape=[100]),
        node("Greater", ["r", "half"], ["b"]),
        node("NonZero", ["b"], ["y"]),
    ]
    files.add("random_size", [], [info("y", INT64, [1, None])], random, [], half=np.float32(0.5))
    files.add(
        "through",
        [of_x, info("unused", FLOAT, [2])],
        [of_x, info("w", FLOAT, [2])],
        [],
        [x, tensor("unused", np.ones(2, np.float32))],
        w=np.ones(2, np.float32),
    )
    empty = tensor("x", np.zeros((0, 3), np.float32))
    files.add("empty", [info("x", FLOAT, [0, 3])], [info("y", FLOAT, [0, 3])], [node("Relu", ["x"], ["y"])], [empty])
    files.add("to_text", [of_x], [info("y", STRING, [3])], [node("Cast", ["x"], ["y"], to=STRING)], [x])
    files.add(
        "text",
        [info("x", STRING, [2])],
        [info("y", STRING, [2])],
        [node("Identity", ["x"], ["y"])],
        [text("x", ["ü", ""])],
    )
    files.add("to_sequence", [of_x], [sequence("y", FLOAT)], [node("SequenceConstruct", ["x", "x"], ["y"])], [x])
    files.add(
        "sequence",
        [sequence("x", FLOAT)],
        [sequence("y", FLOAT), info("n", INT64, [])],
        [node("Identity", ["x"], ["y"]), node("SequenceLength", ["x"], ["n"])],
        [tensor("x.0", np.ones(2, np.float32)), tensor("x.1", np.zeros((1, 3), np.float32))],
    )
    files.add(
        "confusable",
        [sequence("x", FLOAT), info("x.1", FLOAT, [2])],
        [info("n", INT64, []), info("y", FLOAT, [2])],
        [node("SequenceLength", ["x"], ["n"]), node("Neg", ["x.1"], ["y"])],
        [tensor("x.0", np.ones(2, np.float32)), tensor("x.1", np.ones(2, np.float32))],
    )
    optional = helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, [3]))
    nothing = helper.make_graph(
        [node("Optional", [], ["none"], type=helper.make_tensor_type_proto(FLOAT, [3]))],
        "e",
        [],
        [helper.make_value_info("none", optional)],
    )
    something = helper.make_graph(
        [node("Optional", ["x"], ["one"])], "t", [], [helper.make_value_info("one", optional)]
    )
    for name, condition in (("optional", True), ("optional_none", False)):
        files.add(
            name,
            [of_x, info("c", TensorProto.BOOL, [])],
            [helper.make_value_info("y", optional)],
            [node("If", ["c"], ["y"], then_branch=something, else_branch=nothing)],
            [x, tensor("c", condition)],
        )
    has = [node("OptionalHasElement", ["x"], ["y"])]
    files.add("no_value", [helper.make_value_info("x", optional)], [info("y", TensorProto.BOOL, [])], has, [])
    maps = helper.make_sequence_type_proto(helper.make_map_type_proto(STRING, helper.make_tensor_type_proto(FLOAT, [])))
    zip_map = node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_strings=["a", "b"])
    table = tensor("x", np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))
    files.add("zip_map", [info("x", FLOAT, [2, 2])], [helper.make_value_info("y", maps)], [zip_map], [table])
    small = Tensor("x", "int4", (3,), b"\x01\x0f\x08")
    files.add(
        "small",
        [info("x", TensorProto.INT4, [3])],
        [info("y", FLOAT, [3]), info("z", TensorProto.INT4, [3])],
        [node("Cast", ["x"], ["y"], to=FLOAT), node("Cast", ["y"], ["z"], to=TensorProto.INT4)],
        [small],
    )  # fmt: skip
    files.run(ort_python)
    return files


def test_the_timed_run_and_the_reference_return_the_same(ran: Files) -> None:
    for name in ran.names:
        if name != "random_size":
            assert ran.timed(name) == ran.expected(name), name


def test_an_ordinary_model_runs_in_fixed_memory(ran: Files) -> None:
    for name in ("plain", "dynamic", "non_zero", "through", "empty", "small"):
        assert ran.unbound(name) == {}, name
        assert ran.facts[name]["timed"].endswith("bound before (I/O binding)"), name


def test_an_output_of_another_size_than_declared_is_left_unbound_and_the_others_are_bound(ran: Files) -> None:
    assert ran.unbound("declared_wrong") == {"y": "its size is [3], not [9] as the file declares"}
    assert [entry.shape for entry in ran.timed("declared_wrong")] == [(3,), (3,)]
    assert "except for y" in ran.facts["declared_wrong"]["timed"]


def test_an_output_whose_size_varies_from_run_to_run_is_left_unbound(ran: Files) -> None:
    assert "draws random numbers" in ran.unbound("random_size")["y"]
    assert 20 < ran.timed("random_size")[0].shape[1] < 80


def test_an_output_that_is_listed_twice_is_returned_once(ran: Files) -> None:
    assert ran.unbound("twice") == {"y": "the file lists it more than once"}
    assert [entry.name for entry in ran.timed("twice")] == ["y"]


def test_an_input_and_a_weight_can_be_outputs(ran: Files) -> None:
    assert ran.timed("through") == [tensor("x", np.array([1, 0, -1], np.float32)), tensor("w", np.ones(2, np.float32))]


def test_text_is_bound_as_output_and_converted_as_input(ran: Files) -> None:
    assert ran.timed("to_text") == [text("y", ["1", "0", "-1"])]
    assert list(ran.unbound("to_text")) == ["y"]
    assert ran.timed("text") == [text("y", ["ü", ""])]
    assert "session.run" in ran.facts["text"]["timed"]


def test_a_sequence_has_as_many_tensors_as_one_run_makes(ran: Files) -> None:
    """In a binding, SequenceConstruct appends to the sequence of the run before."""
    assert [entry.name for entry in ran.timed("to_sequence")] == ["y.0", "y.1"]
    assert [(entry.name, entry.shape) for entry in ran.timed("sequence")] == [("y.0", (2,)), ("y.1", (1, 3)), ("n", ())]


def test_an_input_that_is_named_like_a_part_of_a_sequence_is_no_part(ran: Files) -> None:
    assert ran.timed("confusable") == [tensor("n", np.int64(1)), tensor("y", np.full(2, -1, np.float32))]


def test_an_optional_without_a_value_has_no_tensor(ran: Files) -> None:
    assert [entry.name for entry in ran.timed("optional")] == ["y"]
    assert ran.timed("optional_none") == []
    assert ran.timed("no_value") == [tensor("y", False)]


def test_maps_with_equal_keys_are_a_table(ran: Files) -> None:
    keys, values = ran.timed("zip_map")
    assert (keys.name, keys.dtype, keys.shape) == ("y.keys", "string", (2, 2))
    assert protocol.unpack_strings(keys.data) == ["a", "b", "a", "b"]
    assert values == tensor("y.values", np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))


def test_types_of_less_than_a_byte_go_in_and_come_out(ran: Files) -> None:
    assert ran.timed("small") == [
        tensor("y", np.array([1, -1, -8], np.float32)),
        Tensor("z", "int4", (3,), b"\x01\x0f\x08"),
    ]


def test_an_ort_file_is_measured(ran: Files, home: Path, ort_python: Path) -> None:
    """ONNX Runtime writes it; its name says its format, and the build's copy, `model.onnx`, doesn't."""
    code = """if True:
        import onnxruntime, sys
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = sys.argv[2]
        options.add_session_config_entry("session.save_model_format", "ORT")
        onnxruntime.InferenceSession(sys.argv[1], options)
    """
    source, file = ran.folder / "dynamic.onnx", ran.folder / "dynamic.ort"
    subprocess.run([str(ort_python), "-c", code, str(source), str(file)], check=True)
    result = isobench.benchmark(file, runtime="ort", dimensions={"n": 3}, iterations=1, warmup=1)
    assert isinstance(result.outcome, Measured), result.outcome
    assert result.outcome.correctness.ok
    assert "already optimised" in result.model.reference
    (home / "not.ort").write_bytes(source.read_bytes())
    failed = isobench.benchmark(home / "not.ort", runtime="ort").outcome
    assert "isn't in ONNX Runtime's own format" in getattr(failed, "message", "")


def test_the_result_says_which_outputs_are_unbound(ran: Files, home: Path) -> None:
    result = isobench.benchmark(ran.folder / "twice.onnx", runtime="ort", iterations=1, warmup=1)
    assert isinstance(result.outcome, Measured), result.outcome
    assert result.outcome.correctness.ok
    shown = details.details(result, home)
    assert "one run of the session; inputs and outputs lie in host memory" in shown
    assert "y: the file lists it more than once" in shown


def test_an_operator_without_an_implementation_is_the_models_failure_also_where_outputs_are_given(
    ran: Files, home: Path
) -> None:
    """With given outputs the reference may fail, and ort is the first that can't load the file."""
    path, data = ran.folder / "no_kernel.onnx", home / "test_data_set_0"
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [info("x", TensorProto.INT4, [2])],
        [info("y", TensorProto.INT4, [2])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    data.mkdir()
    value = helper.make_tensor("x", TensorProto.INT4, [2], [1, 2])
    for name in ("input_0.pb", "output_0.pb"):
        (data / name).write_bytes(value.SerializeToString())
    outcome = isobench.benchmark(path, runtime="ort", inputs=[data], iterations=1, warmup=1).outcome
    assert isinstance(outcome, Failed), outcome
    assert (outcome.kind, outcome.cause) == ("unsupported-operator", "Identity")
    assert "ONNX Runtime has no Identity (opset 21) for the element types" in outcome.message
