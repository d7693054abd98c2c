from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isobench.builds import onnx_wire


@pytest.fixture
def model(tmp_path: Path) -> Path:
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "past + 1", 3, None]),
        helper.make_tensor_value_info("scalar", TensorProto.FLOAT, []),
        helper.make_tensor_value_info("any", TensorProto.FLOAT, None),
        helper.make_tensor_sequence_value_info("many", TensorProto.FLOAT, ["n"]),
    ]
    weight = numpy_helper.from_array(np.ones(3000, np.float32), "w")
    graph = helper.make_graph(
        [], "g", inputs, [helper.make_tensor_value_info("w", TensorProto.FLOAT, [3000])], [weight]
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph), path)
    return path


def test_the_names_of_dimensions_are_read_without_loading_the_file(model: Path) -> None:
    assert onnx_wire.input_names(model) == {
        "ids": ("batch", "past + 1", "", ""),
        "scalar": (),
        "any": (),
        "many": (),
    }


def test_a_file_whose_end_is_missing_says_how_much(model: Path) -> None:
    assert onnx_wire.missing_bytes(model) == 0
    whole = model.read_bytes()
    model.write_bytes(whole[:5000])
    assert onnx_wire.missing_bytes(model) == pytest.approx(len(whole) - 5000, abs=8)  # the opset follows the graph


@pytest.mark.parametrize("content", [b"\x0f", b"\xff" * 20, b"\x80", b"hello, world\n", bytes(1000)])
def test_bytes_of_something_else_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    for read in (onnx_wire.input_names, onnx_wire.missing_bytes):
        with pytest.raises(ValueError, match="no protocol buffer"):
            read(tmp_path / "x")


def test_a_file_of_endless_fields_is_left_early(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08" * (onnx_wire._MOST_FIELDS + 1))
    with pytest.raises(ValueError, match="more than 1,048,576 fields"):
        onnx_wire.missing_bytes(tmp_path / "m.onnx")
