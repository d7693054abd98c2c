"""Where the values of a model's inputs come from, in words: for the table's head, `isobench show` and `inputs`."""

from __future__ import annotations

from collections.abc import Sequence

from isobench.planning.models import InputValues

MOST = 4
"""Inputs that the table's head names; `isobench show` has all of them."""


def brief(inputs: Sequence[InputValues], seed: int) -> str:
    """One line: `x standard normal [-4.1, 3.9], mask ones [1, 1] (seed 0)`; "" where nothing is known."""
    if not inputs:
        return ""
    named = [f"{one.parameter or one.name} {_origin(one)}" for one in inputs[:MOST]]
    if len(inputs) > MOST:
        named.append(f"and {len(inputs) - MOST} more")
    return f"inputs: {', '.join(named)} (seed {seed})"


def line(one: InputValues) -> str:
    """One input in full: `args.0 (x): float32[1, 3], standard normal [-1.2, 0.7]`."""
    name = f"{one.name} ({one.parameter})" if one.parameter not in {"", one.name} else one.name
    return f"{name}: {one.dtype}{list(one.shape)}, {_origin(one)}"


def _origin(one: InputValues) -> str:
    if one.low is None or one.high is None:
        return one.rule
    return f"{one.rule} [{one.low:.4g}, {one.high:.4g}]"
