from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isobench.builds import element_types, given_inputs, onnx_file
from isobench.builds.given_inputs import Given
from isobench.builds.onnx_file import OnnxFile
from isobench.errors import UsageError
from isobench.planning.models import Model

X = np.arange(8, dtype=np.float32).reshape(2, 4)
IDS = np.array([[1, 2]], np.int64)


@pytest.fixture
def found(tmp_path: Path) -> OnnxFile:
    """A model with the inputs x: float32[batch, 4] and ids: int64[1, n]."""
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4]),
        helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "n"]),
    ]
    outputs = [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4]),
        helper.make_tensor_value_info("z", TensorProto.INT64, [1, "n"]),
    ]
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Identity", ["ids"], ["z"])]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", inputs, outputs)), path)
    return onnx_file.read(path)


def given(found: OnnxFile, *files: Path, **more: Any) -> Given:
    return given_inputs.of_onnx(Model(path=found.path, inputs=files, **more), found)


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_values_are_taken_by_name_and_their_shapes_fix_the_sizes(found: OnnxFile, tmp_path: Path) -> None:
    made = given(found, npz(tmp_path / "x.npz", x=X, ids=IDS))
    assert made.shapes == {"x": (2, 4), "ids": (1, 2)}
    np.testing.assert_array_equal(element_types.to_array(made.tensors["x"][0]), X)
    assert made.rules == {"x": "given: x.npz", "ids": "given: x.npz"}
    assert made.expected is None


def test_files_that_hold_different_inputs_are_combined(found: OnnxFile, tmp_path: Path) -> None:
    made = given(found, npz(tmp_path / "x.npz", x=X), npz(tmp_path / "ids.npz", ids=IDS))
    assert list(made.tensors) == ["x", "ids"]


def test_an_input_may_be_left_to_be_drawn(found: OnnxFile, tmp_path: Path) -> None:
    assert list(given(found, npz(tmp_path / "x.npz", x=X)).tensors) == ["x"]


def test_a_type_is_converted_where_no_value_changes_and_the_rule_says_so(found: OnnxFile, tmp_path: Path) -> None:
    made = given(found, npz(tmp_path / "x.npz", ids=IDS.astype(np.int32)))
    assert made.tensors["ids"][0].dtype == "int64"
    assert made.rules["ids"] == "given: x.npz (converted from int32)"
    with pytest.raises(UsageError, match=r"input x: float32\[\?, 4\] got float64\[2, 4\] from x\.npz: 0\.1 isn't"):
        given(found, npz(tmp_path / "x.npz", x=X.astype(np.float64) + 0.1))


def test_test_data_are_taken_by_place_with_the_outputs_that_belong_to_them(found: OnnxFile, tmp_path: Path) -> None:
    folder = tmp_path / "test_data_set_3"
    folder.mkdir()
    for name, array in {"input_0": X, "input_1": IDS, "output_0": X, "output_1": IDS}.items():
        (folder / f"{name}.pb").write_bytes(numpy_helper.from_array(array, "any").SerializeToString())
    made = given(found, folder)
    assert list(made.tensors) == ["x", "ids"]
    assert made.expected is not None
    assert [(one.name, one.dtype) for one in made.expected] == [("y", "float32"), ("z", "int64")]
    assert made.reference == "given: test_data_set_3"


def test_one_input_is_given_by_its_name_from_a_file_of_its_own(found: OnnxFile, tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", IDS)
    (tmp_path / "x.bin").write_bytes(X.tobytes())
    rules = {"ids": f"@{tmp_path / 'ids.npy'}", "x": f"@{tmp_path / 'x.bin'}"}
    made = given(found, fill=rules)
    np.testing.assert_array_equal(element_types.to_array(made.tensors["x"][0]), X)
    assert made.shapes == {"ids": (1, 2), "x": (2, 4)}


def test_raw_bytes_need_a_known_shape(found: OnnxFile, tmp_path: Path) -> None:
    file = tmp_path / "x.bin"
    file.write_bytes(X.tobytes()[:-4])
    with pytest.raises(UsageError, match=r"the shape of x: float32\[\?, 4\] must be known to read x\.bin"):
        given(found, fill={"x": f"@{file}"})
    with pytest.raises(UsageError, match=r"x\.bin must have 32 bytes \(float32\[2, 4\]\), got 28"):
        given(found, fill={"x": f"@{file}"}, shapes={"x": (2, 4)})


@pytest.mark.parametrize(
    ("arrays", "more", "message"),
    [
        ({"image": X}, {}, r"x\.npz has values for image, which m\.onnx doesn't have"),
        ({"x": X[0]}, {}, r"input x: float32\[\?, 4\] got float32\[4\] from x\.npz"),
        ({"x": X[:, :3]}, {}, r"input x: float32\[\?, 4\] got float32\[2, 3\] from x\.npz"),
        ({"arr_0": X, "arr_1": IDS, "arr_2": X}, {}, r"x\.npz has values for 3 inputs, but m\.onnx has 2"),
        ({"x": X}, {"shapes": {"x": (3, 4)}}, r"--shape x is 3,4, but x\.npz has 2,4"),
        ({"x": X}, {"dimensions": {"batch": 3}}, r"--dim batch is 3, but it is 2 in the values that were given for x"),
        ({"x": X}, {"fill": {"y": "zeros"}}, r"no input 'y' in m\.onnx"),
    ],
)
def test_values_that_do_not_fit_are_refused(
    found: OnnxFile, tmp_path: Path, arrays: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        given(found, npz(tmp_path / "x.npz", **arrays), **more)


def test_a_file_with_one_input_needs_a_model_with_one_or_a_name(found: OnnxFile, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(UsageError, match=r"x\.npy holds one input without a name, but m\.onnx has 2") as caught:
        given(found, tmp_path / "x.npy")
    assert caught.value.hint == "m.onnx has the inputs: x, ids. Give --inputs NAME=x.npy."


def test_several_sets_are_refused(found: OnnxFile, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--inputs must be one set of inputs here, got 2: a\.npz, b\.npz"):
        given(found, npz(tmp_path / "a.npz", x=X), npz(tmp_path / "b.npz", x=X))


def test_bits_in_test_data_are_the_declared_type(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.BFLOAT16, [2])
    out = helper.make_tensor_value_info("y", TensorProto.BFLOAT16, [2])
    path = tmp_path / "m.onnx"
    onnx.save(
        helper.make_model(helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [out])), path
    )
    bits = np.array([1, 2], ml_dtypes.bfloat16).view(np.uint16)
    (tmp_path / "x.pb").write_bytes(numpy_helper.from_array(bits).SerializeToString())
    made = given(onnx_file.read(path), tmp_path / "x.pb")
    assert element_types.to_array(made.tensors["x"][0]).astype(float).tolist() == [1, 2]
