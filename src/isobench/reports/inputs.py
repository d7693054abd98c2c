"""Where the values of a model's inputs come from, in words: for the table's head, `isobench show` and `inputs`."""

from __future__ import annotations

from collections.abc import Sequence

from isobench.analysis.input_sets import InputSets
from isobench.planning.models import InputValues
from isobench.reports.format import milliseconds
from isobench.results import ModelRecord

MOST = 4
"""Inputs that the table's head names; `isobench show` has all of them."""


def brief(model: ModelRecord, seed: int) -> str:
    """One line: `x standard normal [-4.1, 3.9], mask ones [1] (seed 0)`; "" where nothing is known."""
    inputs = model.input_values
    if not inputs:
        return ""
    if model.input_sets:
        return f"inputs: {len(model.input_sets)} sets in rotation: {_some(model.input_sets)}"
    named = _some([f"{one.parameter or one.name} {_origin(one)}" for one in inputs])
    given = all(one.rule.startswith("given: ") for one in inputs)
    return f"inputs: {named}" if given else f"inputs: {named} (seed {seed})"


def sets(found: InputSets) -> str:
    """How the latency depends on the set of inputs, in a sentence."""
    medians = _some([f"{one.name} {milliseconds(one.median_s)}" for one in found.sets])
    ratio = f"{found.ratio.value:.3g} ({found.ratio.within.low:.3g} to {found.ratio.within.high:.3g})"
    answers = {
        True: "the latency depends on the inputs",
        False: "the latency doesn't depend on the inputs",
        None: "too few blocks to say whether the latency depends on the inputs",
    }
    return f"{answers[found.depends]}: slowest to fastest set {ratio}; medians in ms: {medians}"


def line(one: InputValues) -> str:
    """One input in full: `args.0 (x): float32[1, 3], standard normal [-1.2, 0.7]`."""
    name = f"{one.name} ({one.parameter})" if one.parameter not in {"", one.name} else one.name
    return f"{name}: {one.dtype}{list(one.shape)}, {_origin(one)}"


def _origin(one: InputValues) -> str:
    if one.low is None or one.high is None:
        return one.rule
    if one.low == one.high:
        return f"{one.rule} [{one.low:.4g}]"
    return f"{one.rule} [{one.low:.4g}, {one.high:.4g}]"


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - MOST} more" if len(texts) > MOST else ""
    return f"{', '.join(texts[:MOST])}{more}"
