"""Values that aren't tensors of numbers, as ONNX Runtime takes and returns them, without ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import worker_modules

MAPS = "seq(map(int64,tensor(float)))"
TEXTS = ["zero\0inside", "Grüße"]


@pytest.fixture(scope="module")
def values() -> Any:
    return worker_modules.load("ort_values")


@pytest.mark.parametrize(
    ("kind", "value", "names"),
    [
        ("tensor(string)", np.array(TEXTS, dtype=object), ["x"]),
        ("seq(tensor(float))", [np.zeros((2, 3), np.float32), np.ones(1, np.float32)], ["x.0", "x.1"]),
        ("seq(tensor(string))", [np.array(TEXTS, dtype=object)], ["x.0"]),
        ("optional(seq(tensor(int64)))", [np.arange(3)], ["x.0"]),
        ("optional(tensor(float))", None, []),
        ("map(string,tensor(double))", {"b": 1.5, "a": 2.0}, ["x.keys", "x.values"]),
        ("map(int64,tensor(string))", dict(enumerate(TEXTS)), ["x.keys", "x.values"]),
        (MAPS, [{0: 0.25, 7: 0.75}, {0: 0.5, 7: 0.5}], ["x.keys", "x.values"]),
        (MAPS, [{0: 0.25, 7: 0.75}, {1: 1.0}], ["x.0.keys", "x.0.values", "x.1.keys", "x.1.values"]),
    ],
)
def test_a_value_becomes_tensors_and_the_same_value_again(values: Any, kind: str, value: Any, names: list[str]) -> None:
    made = values.from_python("x", kind, value)
    assert [tensor.name for tensor in made] == names
    again = values.to_python(kind, "x", {tensor.name: tensor for tensor in made})
    np.testing.assert_equal(again, value)


def test_the_types_of_a_map_are_those_of_onnx_runtime(values: Any) -> None:
    """Python's dict has lost them: its numbers are 64 bits wide."""
    keys, numbers = values.from_python("p", MAPS, [{0: 0.25, 1: 0.75}] * 3)
    assert (keys.dtype, keys.shape, numbers.dtype, numbers.shape) == ("int64", (3, 2), "float32", (3, 2))
    assert values.from_python("p", MAPS, [])[1].shape == (0, 0)


def test_the_bits_of_a_type_that_numpy_lacks_keep_its_name(values: Any) -> None:
    [tensor] = values.from_python("y", "tensor(float8e4m3fn)", np.array([56], np.uint8))
    assert (tensor.dtype, tensor.data) == ("float8_e4m3fn", b"\x38")


def test_an_empty_sequence_has_no_tensors(values: Any) -> None:
    assert values.from_python("y", "seq(tensor(float))", []) == []
    assert values.to_python("seq(tensor(float))", "y", {}) == []


def test_memory_of_a_fixed_size_holds_only_numbers(values: Any) -> None:
    kinds = ["tensor(float)", "tensor(bfloat16)", "tensor(string)", "seq(tensor(float))", "optional(tensor(float))"]
    assert [values.is_tensor(kind) for kind in kinds] == [True, True, False, False, False]
