from __future__ import annotations

import random
from pathlib import Path
from types import ModuleType

import ml_dtypes
import numpy as np
import onnx
import pytest
import worker_modules
from onnx import TensorProto, helper, numpy_helper

from isobench.workers.protocol import Tensor


@pytest.fixture(scope="module")
def workers() -> dict[str, ModuleType]:
    """The modules of workers, which import what lies beside them by its plain name."""
    return {name: worker_modules.load(name) for name in ("rounding", "onnx_weights", "quantisation", "competing")}


@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "bfloat16"])
def test_each_value_moves_by_one_unit_in_the_last_place_up_or_down(workers: dict[str, ModuleType], kind: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, kind) if kind == "bfloat16" else kind)
    values = np.random.default_rng(0).standard_normal(1000).astype(dtype)
    moved = np.frombuffer(workers["rounding"].perturbed(values.tobytes(), kind, 1, random.Random(0)), dtype)
    bits = f"<i{dtype.itemsize}"
    steps = moved.view(bits).astype(np.int64) - values.view(bits).astype(np.int64)
    assert set(steps[values != np.rint(values)]) == {-1, 1}
    assert 400 < (steps == 1).sum() < 600


def test_values_that_may_be_exact_stay_as_they_are(workers: dict[str, ModuleType]) -> None:
    values = np.array([0, -0.0, 1, -3, 65504, np.inf, -np.inf, np.nan, 2.0**30, -3.4028235e38] * 2, np.float32)
    assert workers["rounding"].perturbed(values.tobytes(), "float32", 16, random.Random(0)) == values.tobytes()


def test_small_tensors_and_whole_numbers_stay_as_they_are(workers: dict[str, ModuleType]) -> None:
    scales = np.array([1, 1, 1.5, 1.5], np.float32)
    assert workers["rounding"].perturbed(scales.tobytes(), "float32", 1, random.Random(0)) == scales.tobytes()
    indices = np.arange(100)
    assert workers["rounding"].perturbed(indices.tobytes(), "int64", 1, random.Random(0)) == indices.tobytes()


def test_a_unit_of_narrow_arithmetic_is_many_units_of_a_wide_type(workers: dict[str, ModuleType]) -> None:
    rounding = workers["rounding"]
    assert rounding.units_in("float32", "float32") == 1
    assert rounding.units_in("float16", "float32") == 2**13
    assert rounding.units_in("float16", "float16") == 1
    assert rounding.narrowest({"float32", "bfloat16", "float16"}) == "bfloat16"
    assert rounding.narrowest({"int64", "float64"}) == "float64"
    assert rounding.narrowest({"int64"}) == "float32"


def test_the_smallest_weights_are_perturbed_where_all_would_take_too_much_memory(
    workers: dict[str, ModuleType],
) -> None:
    limit = workers["rounding"].WEIGHTS_BYTES
    assert workers["rounding"].chosen([("table", limit), ("bias", 8), ("scale", 8)]) == {"bias", "scale"}


def saved(
    path: Path, nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], kind: int = TensorProto.FLOAT
) -> str:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, [8])],
        [helper.make_tensor_value_info("y", kind, [8])],
        weights,
    )
    onnx.save(helper.make_model(graph), path)
    return str(path)


def test_weights_are_read_with_their_bytes(workers: dict[str, ModuleType], tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    raw = numpy_helper.from_array(values, "raw")
    typed = helper.make_tensor("typed", TensorProto.DOUBLE, [2, 2], [1.5, 2, 3, 4])
    counts = numpy_helper.from_array(np.arange(3), "counts")
    file = saved(tmp_path / "m.onnx", [helper.make_node("Add", ["x", "raw"], ["y"])], [raw, typed, counts])
    found = workers["onnx_weights"].read(file)
    assert [(weight.name, weight.dtype, weight.shape) for weight in found.weights] == [
        ("raw", "float32", (3, 4)),
        ("typed", "float64", (2, 2)),
    ]
    assert bytes(found.weights[0].data) == values.tobytes()
    assert bytes(found.weights[1].data) == np.array([1.5, 2, 3, 4]).tobytes()


def test_weights_in_external_data_are_read(workers: dict[str, ModuleType], tmp_path: Path) -> None:
    values = [np.random.default_rng(n).standard_normal(600).astype(np.float32) for n in range(2)]
    file = saved(
        tmp_path / "m.onnx",
        [helper.make_node("Add", ["x", "w0"], ["y"])],
        [numpy_helper.from_array(value, f"w{n}") for n, value in enumerate(values)],
    )
    onnx.save(onnx.load(file), file, save_as_external_data=True, location="weights.bin")
    found = workers["onnx_weights"].read(file)
    assert [bytes(weight.data) for weight in found.weights] == [value.tobytes() for value in values]


def test_a_type_that_only_saves_space_is_not_computed_with(workers: dict[str, ModuleType], tmp_path: Path) -> None:
    half = numpy_helper.from_array(np.ones(8, np.float16), "w")
    cast = helper.make_node("Cast", ["w"], ["wide"], to=TensorProto.FLOAT)
    stored = saved(tmp_path / "a.onnx", [cast, helper.make_node("Add", ["x", "wide"], ["y"])], [half])
    assert workers["onnx_weights"].read(stored).computed() == {"float32"}
    used = saved(tmp_path / "b.onnx", [helper.make_node("Add", ["x", "w"], ["y"])], [half], TensorProto.FLOAT16)
    assert workers["onnx_weights"].read(used).computed() == {"float16"}


def test_casts_in_subgraphs_show_the_arithmetic(workers: dict[str, ModuleType], tmp_path: Path) -> None:
    inner = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["h"], to=TensorProto.BFLOAT16)],
        "inner",
        [],
        [helper.make_tensor_value_info("h", TensorProto.BFLOAT16, [8])],
    )
    choice = numpy_helper.from_array(np.array(True), "c")
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    assert "bfloat16" in workers["onnx_weights"].read(saved(tmp_path / "m.onnx", [node], [choice])).computed()


def test_the_step_of_a_quantised_output_is_its_scale(workers: dict[str, ModuleType], tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale"], ["d"]),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    scale = numpy_helper.from_array(np.float32(0.25), "scale")
    contents = workers["onnx_weights"].read(saved(tmp_path / "m.onnx", nodes, [scale]))
    assert workers["quantisation"].quantised(contents)
    assert workers["quantisation"].steps(contents) == {"y": 0.25}


def test_the_step_of_whole_numbers_is_one_and_what_is_computed_has_none(
    workers: dict[str, ModuleType], tmp_path: Path
) -> None:
    value = numpy_helper.from_array(np.float32(0.5), "value")
    nodes = [
        helper.make_node("Constant", [], ["scale"], value=value),
        helper.make_node("QuantizeLinear", ["x", "scale"], ["y"]),
    ]
    whole = workers["onnx_weights"].read(saved(tmp_path / "a.onnx", nodes, []))
    assert workers["quantisation"].steps(whole) == {"y": 1.0}
    plain = workers["onnx_weights"].read(saved(tmp_path / "b.onnx", [helper.make_node("Exp", ["x"], ["y"])], []))
    assert not workers["quantisation"].quantised(plain)
    assert workers["quantisation"].steps(plain) == {}


def test_indices_are_traced_to_the_values_that_compete_for_them(workers: dict[str, ModuleType], tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Exp", ["x"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["best"], axis=-1),
        helper.make_node("Cast", ["best"], ["y"], to=TensorProto.FLOAT),
    ]
    file = saved(tmp_path / "m.onnx", nodes, [])
    competing, contents = workers["competing"], workers["onnx_weights"].read(file)
    [choice] = competing.choices(contents)
    assert choice == ("y", "scores", -1)
    content = workers["onnx_weights"].with_outputs(Path(file).read_bytes(), ["scores"])
    assert [output.name for output in onnx.load_from_string(content).graph.output] == ["y", "scores"]


def test_rows_of_indices_are_traced_to_the_scores(workers: dict[str, ModuleType], tmp_path: Path) -> None:
    nodes = [
        helper.make_node("NonMaxSuppression", ["boxes", "scores", "most"], ["rows"]),
        helper.make_node("Cast", ["rows"], ["y"], to=TensorProto.INT32),
    ]
    file = saved(tmp_path / "m.onnx", nodes, [])
    competing = workers["competing"]
    found = competing.choices(workers["onnx_weights"].read(file))
    assert found == [("y", "scores", None)]
    scores = Tensor("scores", "float32", (1, 2, 4), bytes(32))
    assert competing.values(file, found, {"scores": scores}, lambda _: []) == [scores._replace(name="y:rows")]


def test_competing_values_are_arranged_around_the_axis(workers: dict[str, ModuleType]) -> None:
    arranged = workers["competing"].arranged
    tensor = Tensor("scores", "float32", (2, 3, 4, 5), b"")
    assert arranged("y", tensor, 1)[:3] == ("y", "float32", (2, 3, 20))
    assert arranged("y", tensor, -1).shape == (24, 5, 1)
    assert arranged("y", tensor._replace(shape=()), 0).shape == (1, 1, 1)


def test_what_is_no_onnx_file_is_refused(workers: dict[str, ModuleType], tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(b"\xff\xff\xff\xff")
    with pytest.raises(ValueError, match="not a protocol buffer"):
        workers["onnx_weights"].read(str(file))
