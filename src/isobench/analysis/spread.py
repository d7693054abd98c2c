"""How far rounding alone moves a model's outputs: the tolerance that the model itself sets.

The model was evaluated with weights and inputs that were moved by units in the last place (`workers/rounding.py`). An
output's spread is the largest distance that any evaluation shows, for one unit, relative to |expected| + the output's
largest |expected|, as tolerances are. A decision that is taken the other way (an index, a step of a quantisation, a
comparison) moves single elements by far more: those are `Unstable`, and no part of the spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from isobench.analysis import tensors
from isobench.analysis.output_spread import EPS, OutputSpread
from isobench.analysis.tolerances import TOLERANCES
from isobench.record import record
from isobench.workers.protocol import STRING, Tensor

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

OUTLIER = 64.0
"""An element that moves as many times as far as 99 % of the others was decided the other way."""
MOST_UNSTABLE = 0.1
"""With a larger share of unstable elements, an output can't be judged."""
ALWAYS_JUDGED = 100
"""As many unstable elements are always judged, by what the evaluations showed."""


@record(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The outputs of one evaluation, after a perturbation by `ulps` units in the last place."""

    ulps: int
    outputs: Sequence[Tensor]


def spreads(
    expected: Sequence[Tensor],
    repeated: Sequence[Tensor],
    evaluations: Sequence[Evaluation],
    *,
    arithmetic: str,
    steps: Mapping[str, float] | None = None,
) -> tuple[list[OutputSpread], list[Tensor]]:
    """The spread of each output, and the unstable elements as tensors (see `unstable_of`).

    `repeated` are the outputs of a second evaluation of the unchanged model; empty if there was none. `steps` has the
    step of each quantised output.
    """
    again = {tensor.name: tensor for tensor in repeated}
    found, unstable = [], []
    for tensor in expected:
        moved = [
            (evaluation.ulps, other)
            for evaluation in evaluations
            for other in evaluation.outputs
            if other.name == tensor.name and (other.dtype, other.shape) == (tensor.dtype, tensor.shape)
        ]
        made = OutputSpread(
            name=tensor.name, arithmetic=arithmetic, evaluations=len(moved), step=(steps or {}).get(tensor.name, 0.0)
        )
        if tensor.dtype != STRING:
            made = replace(made, not_finite=tensors.not_finite(tensors.flat(tensor)))
        other = again.get(tensor.name)
        if other is not None and _differs(tensor, other):
            made = replace(made, random=True, varies=other.shape != tensor.shape)
        elif any(_reshaped(tensor, evaluation) for evaluation in evaluations):
            made = replace(made, varies=True)
        elif moved and tensor.dtype != STRING:
            made, elements = _spread(made, tensor, moved)
            unstable += elements
        found.append(made)
    return found, unstable


def alternatives(expected: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """The outputs that the model computes otherwise on another path of its own: NAME:alternative, where they differ."""
    named = {tensor.name: tensor for tensor in expected}
    return [
        other._replace(name=f"{other.name}:alternative")
        for other in others
        if other.name in named and other.shape == named[other.name].shape and _differs(named[other.name], other)
    ]


def unstable_of(name: str, stored: Mapping[str, Tensor]) -> tuple[Array, Array] | None:
    """The places of an output's unstable elements, and what the evaluations showed there ([evaluations, places])."""
    if f"{name}:places" not in stored:
        return None
    places, seen = stored[f"{name}:places"], stored[f"{name}:seen"]
    return tensors.flat(places), tensors.flat(seen).reshape(seen.shape)


def too_unstable(spread: OutputSpread, elements: int) -> bool:
    """Does rounding change too many of the elements completely?"""
    return spread.unstable > max(ALWAYS_JUDGED, MOST_UNSTABLE * elements)


def _reshaped(tensor: Tensor, evaluation: Evaluation) -> bool:
    """Did a perturbation change the shape of an output, such as the number of boxes that are left?"""
    return any(other.name == tensor.name and other.shape != tensor.shape for other in evaluation.outputs)


def _differs(one: Tensor, other: Tensor) -> bool:
    """Did the model compute something else, beyond what another order of summation may change?"""
    import numpy as np

    if one.data == other.data and one.shape == other.shape:
        return False
    if (one.dtype, one.shape) != (other.dtype, other.shape) or tensors.is_exact(one.dtype):
        return True
    first, second = tensors.flat(one), tensors.flat(other)
    largest, tolerance = tensors.peak(first), TOLERANCES.get(one.dtype, 0.0)
    return any(
        bool((~(_relative(a, b, largest) <= tolerance)).any())
        for _, (a, b) in tensors.parts(first, second)
        if np.size(a)
    )


def _relative(wanted: Array, found: Array, largest: float) -> Array:
    """Distances relative to |expected| + the largest |expected|; infinite where only one value is finite."""
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        distance = np.abs(found - wanted) / (np.abs(wanted) + largest)
    same = (wanted == found) | (np.isnan(wanted) & np.isnan(found))
    distance[same] = 0.0
    distance[~same & ~(np.isfinite(wanted) & np.isfinite(found))] = np.inf
    return np.asarray(np.nan_to_num(distance, nan=np.inf, posinf=np.inf), dtype=np.float64)


def _spread(
    record: OutputSpread, expected: Tensor, moved: Sequence[tuple[int, Tensor]]
) -> tuple[OutputSpread, list[Tensor]]:
    import numpy as np

    wanted = tensors.flat(expected)
    largest, tolerance = tensors.peak(wanted), TOLERANCES.get(expected.dtype, 0.0)
    others = [(ulps, tensors.flat(other)) for ulps, other in moved]
    per_unit = np.zeros(len(wanted), dtype=np.float32)  # the farthest that one unit moved each element
    farthest = np.zeros(len(wanted), dtype=np.float32)
    for ulps, values in others:
        for first, (a, b) in tensors.parts(wanted, values):
            distance = _relative(a, b, largest)
            span = slice(first, first + len(distance))
            per_unit[span] = np.maximum(per_unit[span], distance / ulps)
            farthest[span] = np.maximum(farthest[span], distance)
    exact = tensors.is_exact(expected.dtype) and not record.step
    outliers = farthest > 0 if exact else _outliers(per_unit, farthest, tolerance)
    spread = None if exact else _of_usual(per_unit[~outliers], record.arithmetic)
    places = np.flatnonzero(outliers)
    record = replace(record, spread=spread, unstable=len(places))
    if not len(places) or too_unstable(record, len(wanted)):
        return record, []
    seen = np.stack([values[places] for _, values in others])
    return record, [
        Tensor(f"{expected.name}:places", "int64", places.shape, places.astype("<i8").tobytes()),
        Tensor(f"{expected.name}:seen", expected.dtype, seen.shape, seen.tobytes()),
    ]


def _outliers(per_unit: Array, farthest: Array, tolerance: float) -> Array:
    """Which elements were decided the other way in an evaluation, compared with 99 % of them, or half of a few."""
    import numpy as np

    if not per_unit.size:
        return ~np.isfinite(farthest)
    usual = float(np.quantile(per_unit, 0.99 if per_unit.size >= ALWAYS_JUDGED else 0.5))
    return (farthest > tolerance) & ~(per_unit <= OUTLIER * max(usual, EPS["float32"]))


def _of_usual(distances: Array, arithmetic: str) -> float:
    """The spread of elements that moved by `distances` for one unit."""
    import numpy as np

    largest = float(distances.max(initial=0.0))
    if arithmetic != "int8" or not distances.size:
        return largest
    # Steps that are taken the other way are few or many, but always whole: their root mean square says how many.
    return min(largest, 3 * float(np.sqrt(np.mean(distances.astype(np.float64) ** 2))))
