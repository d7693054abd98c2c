from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from isobench.builds import element_types

BF16 = np.dtype(ml_dtypes.bfloat16)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.array(1.5, np.float16),
        np.zeros((0, 3), np.float64),
        np.array([1, -2.5], BF16),
        np.array([1, 2], ml_dtypes.float8_e5m2),
        np.array([True, False]),
        np.array([1 + 2j], np.complex64),
    ],
)
def test_an_array_becomes_a_tensor_and_the_same_array_again(array: Any) -> None:
    tensor = element_types.to_tensor("x", array)
    again = element_types.to_array(tensor)
    assert (tensor.name, tensor.shape) == ("x", array.shape)
    assert again.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(again, array)


def test_strings_are_their_lengths_and_their_utf8_bytes() -> None:
    tensor = element_types.to_tensor("x", np.array([["a", "\u00e4\u00f6"]], dtype=object))
    assert (tensor.dtype, tensor.shape) == ("string", (1, 2))
    assert tensor.data == b"\x01\0\0\0a\x04\0\0\0\xc3\xa4\xc3\xb6"
    assert element_types.to_array(tensor).tolist() == [["a", "\u00e4\u00f6"]]


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.array([1, -2], np.int32), "int64"),
        (np.array([0, 255], np.int64), "uint8"),
        (np.array([0, 1], np.uint8), "bool"),
        (np.array([1.5, np.nan, np.inf], np.float64), "float32"),
        (np.array([1.5, -2], np.float32), "bfloat16"),
        (np.array([3.0], np.float32), "int64"),
        (np.array([1.5], BF16), "float32"),
        (np.array([7, 2], np.int64), "float16"),
        (np.array([b"a"]), "string"),
    ],
)
def test_values_that_stay_the_same_are_converted(array: Any, dtype: str) -> None:
    made = element_types.converted(array, dtype)
    assert element_types.name_of(made) == dtype
    if dtype != "string":
        np.testing.assert_array_equal(made.astype(np.float64), array.astype(np.float64))


@pytest.mark.parametrize(
    ("array", "dtype", "message"),
    [
        (np.array([1, -1], np.int8), "uint8", "-1 isn't exactly a uint8"),
        (np.array([300], np.int64), "int8", "300 isn't exactly a int8"),
        (np.array([0.1], np.float64), "float32", "0.1 isn't exactly a float32"),
        (np.array([1e39], np.float64), "float32", "isn't exactly a float32"),
        (np.array([0.5], np.float32), "int32", "0.5 isn't exactly a int32"),
        (np.array([np.nan], np.float32), "int32", "nan isn't exactly a int32"),
        (np.array([2], np.uint8), "bool", "2 isn't exactly a bool"),
        (np.array([2**24 + 1], np.int64), "float32", "16777217 isn't exactly a float32"),
        (np.array([16256], np.uint16), "bfloat16", "it isn't known whether they are values or the bits"),
        (np.array(["1"]), "float32", "numbers and strings"),
        (np.array([1j], np.complex64), "float32", "complex numbers"),
        (np.array([b"ab"], "V2"), "float32", "doesn't say what its bytes mean"),
    ],
)
def test_values_that_would_change_are_refused_by_name(array: Any, dtype: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        element_types.converted(array, dtype)


def test_bfloat16_comes_back_from_a_file_of_numpy(tmp_path: Any) -> None:
    array = np.array([1.5, -2], BF16)
    np.save(tmp_path / "x.npy", array)
    np.testing.assert_array_equal(element_types.converted(np.load(tmp_path / "x.npy"), "bfloat16"), array)


def test_the_record_of_an_input_has_its_range_without_what_is_not_finite() -> None:
    tensor = element_types.to_tensor("x", np.array([1, np.nan, -3, np.inf], np.float32))
    record = element_types.values(tensor, "given: x.npy")
    assert (record.low, record.high) == (-3, 1)
    assert record.rule == "given: x.npy (1 NaN, 1 infinite)"
    empty = element_types.values(element_types.to_tensor("x", np.zeros((0,), np.float32)), "zeros")
    assert (empty.low, empty.high) == (None, None)
