from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from isobench.builds import element_types, model_inputs
from isobench.builds.model_inputs import ModelInputs
from isobench.errors import UsageError
from isobench.planning.models import Model

ARRAYS = {
    "file": np.array([[1.5, -2]], np.float32),  # a name that numpy.savez can't save
    "half": np.array([1.5, -2], ml_dtypes.bfloat16),
    "eighth": np.array(0.5, ml_dtypes.float8_e5m2),
    "ids": np.zeros((0, 2), np.int64),
    "flag": np.array([True]),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    kinds = {"file": "FLOAT", "half": "BFLOAT16", "eighth": "FLOAT8E5M2", "ids": "INT64", "flag": "BOOL"}
    inputs = [
        helper.make_tensor_value_info(name, getattr(TensorProto, kind), [None] * ARRAYS[name].ndim)
        for name, kind in kinds.items()
    ]
    nodes = [helper.make_node("Identity", ["file"], ["y"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", inputs, outputs)), path)
    return path


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_saved_inputs_of_every_type_are_taken_again_bit_by_bit(tmp_path: Path, model: Path, suffix: str) -> None:
    tensors = tuple(element_types.to_tensor(name, array) for name, array in ARRAYS.items())
    file = tmp_path / f"x{suffix}"
    ModelInputs(name="m", hash="", tensors=tensors, values=()).save(file)
    again = model_inputs.of_onnx(Model(path=model, inputs=(file,)), seed=0)
    assert again.tensors == tensors
    assert {one.rule for one in again.values} == {f"given: x{suffix}"}


def test_strings_are_saved_in_npz_files_alone(tmp_path: Path) -> None:
    text = element_types.to_tensor("s", np.array(["a", "\u00e4"], dtype=object))
    made = ModelInputs(name="m", hash="", tensors=(text,), values=())
    made.save(tmp_path / "x.npz")
    assert np.load(tmp_path / "x.npz")["s"].tolist() == ["a", "\u00e4"]
    with pytest.raises(UsageError, match=r"a \.safetensors file can't hold s: string"):
        made.save(tmp_path / "x.safetensors")
    with pytest.raises(UsageError, match=r"inputs can't be saved as x\.json"):
        made.save(tmp_path / "x.json")


def test_a_rule_takes_precedence_over_a_file_and_other_inputs_are_drawn(tmp_path: Path, model: Path) -> None:
    eighth = ARRAYS["eighth"].view("V1")
    np.savez(tmp_path / "x.npz", half=np.array([1.0], np.float32), eighth=eighth, flag=np.array([True]))
    shapes: dict[str, Any] = {"ids": (1, 2), "flag": (1,)}
    shapes["file"] = (1, 2)
    fill = {"half": "0.5", "flag": "false"}
    made = model_inputs.of_onnx(Model(path=model, inputs=(tmp_path / "x.npz",), shapes=shapes, fill=fill), seed=0)
    rules = {one.name: (one.rule, one.low, one.high) for one in made.values}
    assert rules["eighth"] == ("given: x.npz", 0.5, 0.5)
    assert rules["half"] == ("0.5", 0.5, 0.5)
    assert rules["flag"] == ("false", 0, 0)
    assert not rules["ids"][0].startswith("given")
    assert not rules["file"][0].startswith("given")
