from __future__ import annotations

from dataclasses import replace

import sample_results

from isobench.analysis.input_sets import InputSets, SetLatency
from isobench.analysis.intervals import Interval
from isobench.analysis.ratios import Ratio
from isobench.planning.models import InputValues
from isobench.reports import inputs
from isobench.results import ModelRecord

X = InputValues(name="x", dtype="float32", shape=(1, 3), rule="standard normal", low=-1.23456, high=0.5)
TEXT = InputValues(name="text", dtype="string", shape=(2,), rule="given: x.npz")
MASK = InputValues(name="kwargs.mask", dtype="bool", shape=(1,), rule="ones", low=1, high=1, parameter="mask")


def model(*values: InputValues, sets: tuple[str, ...] = ()) -> ModelRecord:
    return replace(sample_results.make().model, input_values=values, input_sets=sets)


def test_the_tables_head_has_rule_and_range_of_each_input() -> None:
    assert inputs.brief(model(X, TEXT, MASK), 7) == (
        "inputs: x standard normal [-1.235, 0.5], text given: x.npz, mask ones [1] (seed 7)"
    )


def test_the_seed_is_left_out_where_every_input_was_given() -> None:
    assert inputs.brief(model(TEXT), 7) == "inputs: text given: x.npz"


def test_many_inputs_are_shortened_and_older_results_say_nothing() -> None:
    many = [replace(MASK, name=f"m{number}", parameter="") for number in range(30)]
    assert (
        inputs.brief(model(*many), 0)
        == "inputs: m0 ones [1], m1 ones [1], m2 ones [1], m3 ones [1] and 26 more (seed 0)"
    )
    assert inputs.brief(model(), 0) == ""


def test_each_input_has_a_line_with_its_type_and_shape() -> None:
    assert inputs.line(X) == "x: float32[1, 3], standard normal [-1.235, 0.5]"
    assert inputs.line(MASK) == "kwargs.mask (mask): bool[1], ones [1]"


def test_several_sets_are_named_with_the_answer_whether_they_matter() -> None:
    assert inputs.brief(model(X, sets=("a.npz", "b.npz")), 0) == "inputs: 2 sets in rotation: a.npz, b.npz"
    one = SetLatency(name="a.npz", median_s=0.001, within=Interval(low=0.0009, high=0.0011))
    found = InputSets(
        sets=(one, replace(one, name="b.npz", median_s=0.004)),
        ratio=Ratio(value=4, within=Interval(low=3.9, high=4.1)),
        depends=True,
    )
    assert inputs.sets(found) == (
        "the latency depends on the inputs: slowest to fastest set 4 (3.9 to 4.1); "
        "medians in ms: a.npz 1.000, b.npz 4.000"
    )
    assert inputs.sets(replace(found, depends=False)).startswith("the latency doesn't depend on the inputs")
    assert inputs.sets(replace(found, depends=None)).startswith("too few blocks to say whether")
