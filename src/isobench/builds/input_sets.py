"""Several sets of inputs of one model: measured in rotation, as one Case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from isobench.builds.build import Build
from isobench.errors import UsageError

MOST = 64
"""Sets in one Case: each has its own inputs and outputs in memory."""


def combined(builds: Sequence[Sequence[Build]], names: Sequence[str]) -> list[Build]:
    """For each model one Build: that of the first set, with those of the other sets. `builds` are listed set by set.

    Raises:
        UsageError: there are too many, or they have inputs of different shapes.
    """
    if len(builds) > MOST:
        raise UsageError(
            f"there can be at most {MOST} sets of inputs in one case, got {len(builds)}",
            hint="Measure some of them, or several cases.",
        )
    named = [[replace(one, input_set=name) for one in each] for each, name in zip(builds, names, strict=True)]
    return [
        replace(first, sets=tuple(_alike(first, place, each) for each in named[1:]))
        for place, first in enumerate(named[0])
    ]


def _alike(first: Build, place: int, others: Sequence[Build]) -> Build:
    other = others[place]
    for one, two in zip(first.inputs, other.inputs, strict=False):
        if one != two:
            both = f"{first.input_set} has {one} and {other.input_set} {two}"
            raise UsageError(
                f"sets of inputs must have the same shapes, but {both}",
                hint="Measure them in calls of their own: each shape is a case.",
            )
    if len(first.inputs) != len(other.inputs):
        counts = f"{first.input_set} has {len(first.inputs)} tensors and {other.input_set} {len(other.inputs)}"
        raise UsageError(f"sets of inputs must have the same inputs, but {counts}", hint="Measure them on their own.")
    return other
