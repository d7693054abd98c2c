from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from isobench.builds import element_types, filling
from isobench.errors import UsageError
from isobench.planning.models import TensorSpec


def spec(dtype: str, *shape: int) -> TensorSpec:
    return TensorSpec(name="x", dtype=dtype, shape=shape or (2, 3))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "uint8", "bool", "complex64", "float8_e4m3fn"])
def test_zeros_and_ones_fill_every_type(dtype: str) -> None:
    for rule, number in (("zeros", 0), ("ones", 1)):
        made = filling.fill(spec(dtype), rule, 0)
        assert element_types.name_of(made) == dtype
        assert np.all(made.astype(np.complex128) == number)


def test_arange_counts_up_in_c_order() -> None:
    assert filling.fill(spec("int32"), "arange", 0).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert filling.fill(spec("float16"), "arange", 0).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_number_is_rounded_to_a_floating_point_type_and_must_be_whole_for_integers() -> None:
    assert np.all(filling.fill(spec("float32"), "0.1", 0) == np.float32(0.1))
    assert np.all(filling.fill(spec("bfloat16"), "-1e-3", 0) == ml_dtypes.bfloat16(-1e-3))
    assert filling.fill(spec("int64", 1), "-7", 0).tolist() == [-7]
    assert filling.fill(spec("uint64", 1), str(2**64 - 1), 0).tolist() == [2**64 - 1]
    assert filling.fill(spec("bool", 1), "true", 0).tolist() == [True]
    assert np.isnan(filling.fill(spec("float32", 1), "nan", 0)).all()


def test_uniform_has_both_limits_for_integers_and_stays_within_for_others() -> None:
    whole = filling.fill(spec("int64", 1000), "uniform:-1..1", 0)
    assert set(whole.tolist()) == {-1, 0, 1}
    real = filling.fill(spec("float32", 1000), "uniform:0.5..2", 0)
    assert real.min() >= 0.5
    assert 1.9 < real.max() <= 2


def test_random_values_depend_on_the_seed_alone() -> None:
    first, same, other = (filling.fill(spec("float32"), "normal", seed) for seed in (1, 1, 2))
    assert first.tobytes() == same.tobytes() != other.tobytes()


@pytest.mark.parametrize(
    ("dtype", "rule", "message"),
    [
        ("int64", "0.5", r"--fill x=0\.5 can't fill x: int64\[2, 3\]: 0\.5 isn't exactly a int64"),
        ("uint8", "-1", r"-1 isn't exactly a uint8"),
        ("uint8", "uniform:0..256", r"isn't exactly a uint8"),
        ("int8", "uniform:0.5..2", r"0\.5 isn't exactly a int8"),
        ("bool", "2", r"2 isn't exactly a bool"),
        ("int64", "normal", r"int64 has no normal distribution"),
        ("bool", "arange", r"bool can't count"),
        ("float16", "1e6", r"1e\+06 is too large for float16"),
        ("float32", "uniform:2..1", r"LOW must not be above HIGH"),
        ("float32", "uniform:2", r"write it uniform:LOW\.\.HIGH"),
        ("float32", "random", r"there is no such rule"),
        ("int32", "random", r"there is no such rule"),
        ("string", "zeros", r"strings must be given"),
    ],
)
def test_a_rule_that_does_not_fit_the_type_is_refused(dtype: str, rule: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        filling.fill(spec(dtype, 2, 3) if rule != "uniform:0..256" else spec(dtype, 10_000), rule, 0)
