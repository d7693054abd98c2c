from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from isobench.builds import containers, element_types
from isobench.builds.containers import Part
from isobench.builds.input_files import Message
from isobench.errors import UsageError
from isobench.planning.models import TensorSpec

X = np.arange(3, dtype=np.float32)


def spec(dtype: str) -> TensorSpec:
    return TensorSpec(name="x", dtype=dtype, shape=())


def message(value: Any) -> Message:
    return Message(data=value.SerializeToString())


def test_a_sequence_becomes_numbered_tensors() -> None:
    sequence = helper.make_sequence("s", onnx.SequenceProto.TENSOR, [numpy_helper.from_array(X)] * 2)
    made = containers.parts(spec("sequence(float32)"), message(sequence), "input_0.pb")
    assert [(one.name, one.dtype, one.shape) for one in made] == [("x.0", "float32", (3,)), ("x.1", "float32", (3,))]


def test_an_optional_is_its_value_or_nothing() -> None:
    full = helper.make_optional("o", onnx.OptionalProto.TENSOR, numpy_helper.from_array(X))
    empty = onnx.OptionalProto(name="o", elem_type=onnx.OptionalProto.TENSOR)
    [made] = containers.parts(spec("optional(float32)"), message(full), "input_0.pb")
    assert made == element_types.to_tensor("x", X)
    assert containers.parts(spec("optional(float32)"), message(empty), "input_0.pb") == []


def test_parts_are_given_by_their_own_names_and_have_the_types_of_keys_or_values() -> None:
    of = spec("sequence(map(int64, float32))")
    [keys] = containers.parts(of, Part(name="x.keys", array=np.array([1, 2], np.int32)), "x.npz")
    [values] = containers.parts(of, Part(name="x.values", array=np.array([0.5, 2], np.float64)), "x.npz")
    assert (keys.dtype, values.dtype) == ("int64", "float32")
    with pytest.raises(UsageError, match=r"input x \(.*\) got float64\[1\] for x\.keys from x\.npz: 0\.5 isn't"):
        containers.parts(of, Part(name="x.keys", array=np.array([0.5])), "x.npz")


def test_the_owner_of_a_part_is_found_by_its_name() -> None:
    specs = [spec("sequence(float32)"), TensorSpec(name="y", dtype="float32", shape=(1,))]
    assert containers.owner("x.0", specs) == "x"
    assert containers.owner("y.0", specs) == ""


def test_a_file_with_another_kind_of_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must hold a sequence as the model's input"):
        containers.parts(spec("sequence(float32)"), Message(data=b"\x08\x96\x01\xff"), str(tmp_path / "x.pb"))
