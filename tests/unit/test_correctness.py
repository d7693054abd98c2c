from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from isobench.analysis.correctness import Correctness, Expected, compare
from isobench.workers.protocol import Tensor


def tensor(values: Any, dtype: Any = np.float32, name: str = "y") -> Tensor:
    array = np.asarray(values, dtype=dtype)
    return Tensor(name, array.dtype.name, array.shape, array.tobytes())


def check(expected: Any, actual: Any, dtype: Any = np.float32) -> Correctness:
    compared = compare(Expected.of([tensor(expected, dtype)]), [tensor(actual, dtype)])
    json.dumps(asdict(compared), allow_nan=False)
    return compared


def rounded(values: np.ndarray[Any, Any], bits: int) -> np.ndarray[Any, Any]:
    """float32 with only `bits` bits of mantissa, as TF32 (10) has."""
    mask = np.uint32((0xFFFFFFFF << (23 - bits)) & 0xFFFFFFFF)
    half = np.uint32(1 << (22 - bits))
    return ((values.view(np.uint32) + half) & mask).view(np.float32)


def test_the_same_bits_are_right() -> None:
    compared = check([[1.5, -2.5]], [[1.5, -2.5]])
    assert compared.ok
    assert (compared.worst_absolute, compared.worst_relative, compared.cosine) == (0.0, 0.0, 1.0)


def test_another_order_of_summation_is_right() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.standard_normal((64, 4096), np.float32), generator.standard_normal((4096, 64), np.float32)
    in_parts = sum((a[:, n : n + 64] @ b[n : n + 64] for n in range(0, 4096, 64)), np.zeros((64, 64), np.float32))
    assert not np.array_equal(a @ b, in_parts)
    assert check(a @ b, in_parts).ok


@pytest.mark.parametrize("bits", [10, 7])
def test_arithmetic_done_in_fewer_bits_is_wrong(bits: int) -> None:
    generator = np.random.default_rng(0)
    a, b = generator.standard_normal((64, 512), np.float32), generator.standard_normal((512, 64), np.float32)
    compared = check(a @ b, rounded(a, bits) @ rounded(b, bits))
    assert not compared.ok
    assert "elements exceed the tolerance 0.0001" in compared.reasons[0]


def test_the_reason_shows_the_worst_element() -> None:
    compared = check([[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 50, 7]])
    [reason] = compared.reasons
    assert reason.startswith("output 'y': 2 of 6 elements exceed")
    assert reason.endswith("the worst, at [1, 1]: expected 5, got 50")
    assert compared.worst_absolute == 45


def test_an_element_within_the_tolerance_is_not_the_worst() -> None:
    compared = check([1000.0, 0.0], [1000.15, 0.12])
    [reason] = compared.reasons
    assert reason.startswith("output 'y': 1 of 2 elements exceed")
    assert reason.endswith("the worst, at [1]: expected 0, got 0.12")
    assert compared.worst_absolute == pytest.approx(0.15, rel=1e-3)
    assert compared.worst_relative == pytest.approx(0.00015, rel=1e-3)


def test_where_all_zeros_are_expected_there_is_no_relative_difference() -> None:
    compared = check([0.0, 0.0], [1e-9, 0.0])
    assert not compared.ok
    assert (compared.worst_absolute, compared.worst_relative) == (pytest.approx(1e-9), None)
    assert check([0.0, 0.0], [0.0, -0.0]).worst_relative == 0


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        (np.float64, 1e-7),
        (np.float32, 1e-4),
        (np.float16, 1e-2),
        (ml_dtypes.bfloat16, 4e-2),
        (np.complex64, 1e-4),
        (np.complex128, 1e-7),
        (ml_dtypes.float8_e4m3fn, 0.15),
        (ml_dtypes.float8_e4m3fnuz, 0.15),
        (ml_dtypes.float8_e5m2, 0.3),
        (ml_dtypes.float8_e5m2fnuz, 0.3),
    ],
)
def test_each_type_has_its_tolerance_of_the_element_and_the_largest_one(dtype: Any, tolerance: float) -> None:
    assert check([0, 1], [0, 1 + 2 * tolerance * 0.9], dtype).ok
    assert not check([0, 1], [0, 1 + 2 * tolerance * 1.2], dtype).ok
    assert check([0, 1], [tolerance * 0.9, 1], dtype).ok
    assert not check([0, 1], [tolerance * 1.2, 1], dtype).ok
    assert not check([0, 0], [tolerance, 0], dtype).ok


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint64, np.uint8, np.bool_])
def test_whole_numbers_are_exact(dtype: Any) -> None:
    assert check([0, 1, 1], [0, 1, 1], dtype).ok
    assert not check([0, 1, 1], [0, 1, 0], dtype).ok


def test_neighbours_among_large_integers_are_distinguished() -> None:
    assert not check([2**53], [2**53 + 1], np.int64).ok


def test_nan_equals_nan_in_the_same_place() -> None:
    assert check([np.nan, 1], [np.nan, 1.000001]).ok
    compared = check([1, 1], [np.nan, 1])
    assert not compared.ok
    assert "the worst, at [0]: expected 1, got nan" in compared.reasons[0]
    assert compared.worst_absolute is None


def test_an_infinity_has_a_sign() -> None:
    assert check([np.inf, 1], [np.inf, 1.000001]).ok
    assert not check([np.inf, 1], [-np.inf, 1]).ok


def test_types_with_few_bits_have_a_wider_tolerance() -> None:
    values = np.linspace(-3, 3, 50)
    for dtype in (np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn):
        step = float(ml_dtypes.finfo(dtype).eps) if dtype is not np.float16 else float(np.finfo(np.float16).eps)
        assert check(values, values * (1 + step / 2), dtype).ok
        assert not check(values, -values, dtype).ok


def test_the_sign_shows_in_the_cosine() -> None:
    assert check([1, 2, 3], [-1, -2, -3]).cosine == pytest.approx(-1)


def test_outputs_that_are_all_zeros_have_a_cosine() -> None:
    assert check([0.0, 0.0], [0.0, -0.0]).cosine == 1
    assert check([0.0, 0.0], [1.0, 0.0]).cosine == 0


def test_complex_outputs_are_compared() -> None:
    assert check([1 + 2j], [1 + 2.00001j], np.complex64).ok
    assert not check([1 + 2j], [1 - 2j], np.complex64).ok


def test_an_empty_output_is_no_error_and_no_proof() -> None:
    empty = tensor(np.zeros((0, 4)))
    compared = compare(Expected.of([empty]), [empty])
    assert (compared.ok, compared.outcome) == (True, "not-compared")
    assert compared.notes == ("output 'y' is empty (float32[0, 4]): there is nothing to compare",)
    beside = [empty, tensor([1], name="z")]
    assert compare(Expected.of(beside), beside).outcome == "correct"


def test_a_model_without_outputs_has_nothing_to_compare() -> None:
    compared = compare(Expected.of([]), [])
    assert (compared.ok, compared.outcome) == (True, "not-compared")
    assert compared.notes == ("the model returns no tensors: there is nothing to compare",)


def test_missing_unexpected_and_misshapen_outputs_are_wrong() -> None:
    two = Expected.of([tensor([1]), tensor([2], name="z")])
    assert compare(two, [tensor([2], name="z")]).reasons == ("missing output 'y'",)
    assert compare(Expected.of([]), [tensor([1])]).reasons == ("unexpected output 'y'",)
    assert check([[1, 2]], [1, 2]).reasons == ("output 'y' must have shape [1, 2], got [2]",)
    other_type = compare(Expected.of([tensor([1])]), [tensor([1], np.float16)])
    assert other_type.reasons == ("output 'y' must have type float32, got float16",)
