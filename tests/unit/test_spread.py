from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isobench.analysis.correctness import Correctness, Expected, Outcome, compare
from isobench.analysis.output_spread import EPS, OutputSpread
from isobench.analysis.spread import Evaluation, alternatives, spreads
from isobench.workers.protocol import Tensor, pack_strings

RNG = np.random.default_rng(0)


def tensor(values: Any, dtype: Any = np.float32, name: str = "y") -> Tensor:
    array = np.asarray(values, dtype=dtype)
    return Tensor(name, array.dtype.name, array.shape, array.tobytes())


def expected_of(value: Tensor, *moved: tuple[int, Tensor], arithmetic: str = "float32", **options: Any) -> Expected:
    evaluations = [Evaluation(ulps=ulps, outputs=[other]) for ulps, other in moved]
    found, unstable = spreads([value], [value], evaluations, arithmetic=arithmetic, **options)
    return Expected.of([value], found, unstable)


def judged(expected: Expected, actual: Tensor) -> Correctness:
    return compare(expected, [actual])


VALUES = RNG.standard_normal(1000).astype(np.float32)


def noise(size: float) -> np.ndarray[Any, Any]:
    """The values, moved by at most `size` of the largest one."""
    peak = np.abs(VALUES).max()
    return np.asarray(VALUES + size * peak * RNG.uniform(-1, 1, VALUES.shape), np.float32)


def test_the_spread_is_the_largest_distance_for_one_unit_relative_to_the_tolerances_scale() -> None:
    value, one, sixteen = tensor([1.0, -2.0]), tensor([1.0, -2.004]), tensor([1.048, -2.0])
    [found] = expected_of(value, (1, one), (16, sixteen)).spreads.values()
    assert found.spread == pytest.approx(0.001, rel=1e-3)  # 0.004 / (2 + 2); the other is 0.048 / (1 + 2) / 16
    assert found.amplification == pytest.approx(0.001 / 2**-23, rel=1e-3)
    assert found.evaluations == 2


def test_a_model_that_amplifies_rounding_gets_a_wider_tolerance_and_the_result_says_so() -> None:
    expected = expected_of(tensor(VALUES), (1, tensor(noise(1e-4))), (1, tensor(noise(1e-4))))
    compared = judged(expected, tensor(noise(5e-4)))
    assert compared.ok
    [output] = compared.tensors
    assert output.outcome is Outcome.CORRECT
    assert 5e-4 < output.tolerance < 2e-3
    assert output.amplification is not None
    assert output.amplification > 100
    assert output.arithmetic == "float32"


def test_the_same_difference_is_wrong_in_a_model_that_does_not_amplify() -> None:
    expected = expected_of(tensor(VALUES), (1, tensor(noise(1e-6))))
    assert not judged(expected, tensor(noise(1e-3))).ok


def test_what_exceeds_the_models_own_tolerance_is_wrong_and_the_reason_names_the_amplification() -> None:
    expected = expected_of(tensor(VALUES), (1, tensor(noise(1e-4))))
    compared = judged(expected, tensor(noise(0.2)))
    assert compared.outcome is Outcome.WRONG
    assert "the model amplifies rounding" in compared.reasons[0]


def test_an_output_of_which_rounding_leaves_nothing_cannot_be_judged() -> None:
    expected = expected_of(tensor(VALUES), (1, tensor(noise(0.1))))
    compared = judged(expected, tensor(noise(0.2)))
    assert compared.ok
    assert compared.outcome is Outcome.UNJUDGED
    assert "can't be judged: the model amplifies rounding" in compared.notes[0]


def test_nan_is_wrong_even_where_an_output_cannot_be_judged() -> None:
    expected = expected_of(tensor(VALUES), (1, tensor(noise(0.1))))
    assert not judged(expected, tensor(np.where(VALUES > 2, np.nan, VALUES))).ok


def test_the_narrowest_arithmetic_counts_whatever_the_type_of_the_output() -> None:
    inside = expected_of(tensor(VALUES), (1, tensor(noise(1e-3))), arithmetic="float16")
    assert judged(inside, tensor(noise(4e-3))).ok
    assert not judged(inside, tensor(noise(0.1))).ok


def test_an_index_that_rounding_changes_is_a_near_tie_and_any_other_index_is_wrong() -> None:
    expected = expected_of(
        tensor([3, 7, 1], np.int64), (1, tensor([3, 7, 1], np.int64)), (16, tensor([3, 9, 1], np.int64))
    )
    assert judged(expected, tensor([3, 9, 1], np.int64)).ok
    assert not judged(expected, tensor([3, 8, 1], np.int64)).ok
    assert not judged(expected, tensor([4, 7, 1], np.int64)).ok


def test_a_decision_taken_the_other_way_excuses_its_element_alone() -> None:
    flipped = VALUES.copy()
    flipped[17] += 5
    expected = expected_of(tensor(VALUES), (1, tensor(flipped)), (16, tensor(noise(1e-6))))
    [found] = expected.spreads.values()
    assert found.spread is not None
    assert found.spread < 1e-6
    other = VALUES.copy()
    other[17] += 4.9
    assert judged(expected, tensor(other)).ok
    other[18] += 4.9
    assert not judged(expected, tensor(other)).ok


def test_whole_numbers_that_rounding_changes_everywhere_cannot_be_judged() -> None:
    value = tensor(np.arange(200), np.int64)
    expected = expected_of(value, (1, tensor(np.arange(200)[::-1], np.int64)))
    assert judged(expected, tensor(np.arange(200) + 1, np.int64)).outcome is Outcome.UNJUDGED


def test_one_step_of_a_quantisation_is_right_and_two_are_wrong() -> None:
    value = tensor([10, 20, 30], np.uint8)
    expected = expected_of(value, (1, value), arithmetic="int8", steps={"y": 1.0})
    assert judged(expected, tensor([10, 21, 30], np.uint8)).ok
    assert not judged(expected, tensor([10, 22, 30], np.uint8)).ok
    assert not judged(expected_of(value, (1, value)), tensor([10, 21, 30], np.uint8)).ok


def test_a_model_that_computes_something_else_the_second_time_is_random_and_never_wrong() -> None:
    found, unstable = spreads([tensor(VALUES)], [tensor(-VALUES)], [], arithmetic="float32")
    compared = compare(Expected.of([tensor(VALUES)], found, unstable), [tensor(VALUES[::-1])])
    assert compared.ok
    assert compared.outcome is Outcome.RANDOM
    assert "is random: not compared" in compared.notes[0]


def test_the_shape_type_finiteness_and_moments_of_random_outputs_are_compared() -> None:
    found, unstable = spreads([tensor(VALUES)], [tensor(-VALUES)], [], arithmetic="float32")
    expected = Expected.of([tensor(VALUES)], found, unstable)
    assert not compare(expected, [tensor(VALUES[:10])]).ok
    assert not compare(expected, [tensor(VALUES, np.float64)]).ok
    assert "NaNs" in compare(expected, [tensor(np.full(1000, np.nan))]).notes[0]
    assert "its mean is" in compare(expected, [tensor(VALUES + 3)]).notes[0]
    assert "its mean is" not in compare(expected, [tensor(RNG.standard_normal(1000))]).notes[0]


def test_another_order_of_summation_does_not_make_a_model_random() -> None:
    found, _ = spreads([tensor(VALUES)], [tensor(noise(1e-6))], [], arithmetic="float32")
    assert not found[0].random


def test_a_random_shape_is_no_error() -> None:
    found, unstable = spreads([tensor(VALUES[:5])], [tensor(VALUES[:7])], [], arithmetic="float32")
    assert compare(Expected.of([tensor(VALUES[:5])], found, unstable), [tensor(VALUES[:6])]).ok


def test_other_weights_than_those_of_the_build_leave_nothing_to_compare() -> None:
    expected = Expected.of([tensor(VALUES)]).for_weights("1" * 64, "2" * 64)
    compared = compare(expected, [tensor(-VALUES)])
    assert compared.ok
    assert compared.outcome is Outcome.RANDOM
    assert "computes something else each time: its weights differ" in compared.doubts[0]
    assert not compare(Expected.of([tensor(VALUES)]).for_weights("1" * 64, "1" * 64), [tensor(-VALUES)]).ok


def test_a_runtime_that_returns_nothing_is_not_compared_and_not_wrong() -> None:
    compared = compare(Expected.of([tensor(VALUES)]), [])
    assert compared.ok
    assert compared.outcome is Outcome.NOT_COMPARED
    assert compared.doubts == ("the runtime returned no outputs, so they weren't compared",)


def test_values_that_are_not_finite_are_a_doubt_with_a_way_out_if_isobench_drew_the_inputs() -> None:
    value = tensor([1.0, np.nan, np.inf])
    found, unstable = spreads([value], [value], [], arithmetic="float32")
    drawn = compare(Expected.of([value], found, unstable, drawn=True), [value])
    assert drawn.ok
    [doubt] = drawn.doubts
    assert doubt.startswith("2 of 3 expected elements of output 'y' are NaN or infinite")
    assert "--inputs" in doubt
    assert "--inputs" not in compare(Expected.of([value], found, unstable), [value]).notes[0]


def test_an_empty_output_is_mentioned() -> None:
    value = tensor(np.zeros((0, 4)))
    compared = compare(Expected.of([value]), [value])
    assert compared.ok
    assert "output 'y' is empty (float32[0, 4])" in compared.notes[0]


def test_two_different_numbers_are_never_printed_alike() -> None:
    reason = compare(Expected.of([tensor([1.0], np.float64)]), [tensor([1.0000004], np.float64)]).reasons[0]
    assert reason.endswith("expected 1, got 1.0000004")
    large = compare(Expected.of([tensor([2**60], np.int64)]), [tensor([2**60 + 1], np.int64)]).reasons[0]
    assert large.endswith(f"expected {2**60}, got {2**60 + 1}")


def test_text_is_compared() -> None:
    words = Tensor("y", "string", (2,), pack_strings(["cat", "dog"]))
    others = Tensor("y", "string", (2,), pack_strings(["cat", "cow"]))
    assert compare(Expected.of([words]), [words]).ok
    [reason] = compare(Expected.of([words]), [others]).reasons
    assert reason == "output 'y': 1 of 2 elements differ; the first, at [1]: expected 'dog', got 'cow'"


def test_a_spread_grows_with_the_units_of_an_arithmetic_of_fewer_bits() -> None:
    spread = OutputSpread(name="y", spread=1e-6)
    half = spread.lowered("float16")
    assert half.spread == pytest.approx(1e-6 * EPS["float16"] / EPS["float32"])
    assert half.amplification == pytest.approx(spread.amplification)
    assert half.lowered("float32") == half


def test_large_outputs_are_compared_in_parts() -> None:
    values = np.linspace(-1, 1, (1 << 20) + 7, dtype=np.float32)
    other = values.copy()
    other[-1] = 3
    [reason] = compare(Expected.of([tensor(values)]), [tensor(other)]).reasons
    assert "1 of 1,048,583 elements" in reason
    assert reason.endswith(f"the worst, at [{(1 << 20) + 6}]: expected 1, got 3")


def with_competitors(indices: Any, values: Any, *, name: str = "y") -> Expected:
    value = tensor(indices, np.int64, name)
    competing = tensor(values, np.float32, f"{name}:competing")
    return Expected.of([value], [], [competing])


def test_an_index_of_a_value_that_is_nearly_equal_is_a_near_tie() -> None:
    # [outer, competitors, inner]: two rows with three competitors each
    expected = with_competitors([0, 2], np.array([[1.0, 0.99999, 0.5], [0.1, 0.2, 0.9]]).reshape(2, 3, 1))
    assert judged(expected, tensor([1, 2], np.int64)).ok
    assert not judged(expected, tensor([2, 2], np.int64)).ok
    assert not judged(expected, tensor([0, 1], np.int64)).ok
    assert not judged(expected, tensor([0, 3], np.int64)).ok
    assert not judged(expected, tensor([0, -1], np.int64)).ok


def test_several_indices_are_chosen_along_the_axis_in_the_middle() -> None:
    values = np.array([[5, 1], [4.99999, 2], [3, 3], [2, 2.99999]]).reshape(1, 4, 2)
    expected = with_competitors([[0, 2], [1, 3]], values)  # the two best of each column
    assert judged(expected, tensor([[1, 3], [0, 2]], np.int64)).ok
    assert not judged(expected, tensor([[0, 3], [1, 1]], np.int64)).ok


def test_an_index_that_is_chosen_twice_is_no_tie() -> None:
    values = np.array([5, 4.99999, 1]).reshape(1, 3, 1)
    expected = with_competitors([0, 1], values)
    assert judged(expected, tensor([1, 0], np.int64)).ok
    assert not judged(expected, tensor([1, 1], np.int64)).ok


def test_a_row_of_indices_whose_score_is_nearly_equal_is_a_near_tie() -> None:
    scores = np.array([[[0.9, 0.899999, 0.2]], [[0.5, 0.4, 0.400001]]], np.float32)  # [batch, class, box]
    rows = tensor([[0, 0, 0], [0, 0, 1], [1, 0, 2]], np.int64)
    expected = Expected.of([rows], [], [tensor(scores, np.float32, "y:rows:competing")])
    assert judged(expected, tensor([[0, 0, 1], [0, 0, 0], [1, 0, 1]], np.int64)).ok
    for wrong in ([0, 0, 2], [1, 0, 0], [0, 0, 3], [0, 0, -1], [0, 0, 1]):
        assert not judged(expected, tensor([wrong, [0, 0, 1], [1, 0, 2]], np.int64)).ok


def test_a_shape_that_rounding_changes_cannot_be_judged() -> None:
    value, fewer = tensor(VALUES[:12]), tensor(VALUES[:9])
    expected = expected_of(value, (16, fewer))
    assert judged(expected, fewer).outcome is Outcome.UNJUDGED
    assert judged(expected, value).outcome is Outcome.CORRECT


def test_what_the_model_computes_on_another_path_of_its_own_is_right_and_mentioned() -> None:
    padded = VALUES.copy()
    padded[900:] = 0
    [other] = alternatives([tensor(padded)], [tensor(VALUES)])
    expected = Expected.of([tensor(padded)], [], [other])
    compared = judged(expected, tensor(VALUES))
    assert compared.ok
    assert "100 elements of output 'y' are those that PyTorch computes without its fast path" in compared.notes[0]
    assert not judged(expected, tensor(VALUES + 1)).ok
    assert not judged(expected, tensor(padded)).notes
    assert alternatives([tensor(VALUES)], [tensor(noise(1e-6))]) == []


def test_a_decision_in_a_small_output_is_no_part_of_the_spread() -> None:
    value = tensor([0.0, 1.0, 2.0, 4.0, 3.0])
    expected = expected_of(value, (1, tensor([0.0, 1.0, 3.0, 4.0, 3.0])), (16, value))
    [found] = expected.spreads.values()
    assert (found.spread, found.unstable) == (0.0, 1)
    assert judged(expected, tensor([0.0, 1.0, 3.0, 4.0, 3.0])).ok
    assert not judged(expected, tensor([0.0, 2.0, 2.0, 4.0, 3.0])).ok
