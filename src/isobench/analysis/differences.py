"""The differences between an output and the expected one, element by element, found part by part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from isobench.analysis import tensors
from isobench.analysis.competing import Competing
from isobench.analysis.tolerances import STEPS
from isobench.workers.protocol import Tensor

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class Differences:
    """The differences between two outputs of one type and shape, found part by part."""

    def __init__(
        self,
        expected: Tensor,
        actual: Tensor,
        tolerance: float,
        *,
        step: float = 0.0,
        unstable: tuple[Array, Array] | None = None,
        competing: Competing | None = None,
        alternative: Tensor | None = None,
    ) -> None:
        self._tensor, self._tolerance = expected, tolerance
        self._wanted, self._found = tensors.flat(expected), tensors.flat(actual)
        self._allowed = step * STEPS
        self._peak = tensors.peak(self._wanted)
        self._unstable, self._competing = unstable, competing
        self._alternative = None if alternative is None else tensors.flat(alternative)
        self.wrong = 0
        self.alternative = 0  # elements that are those of the alternative
        self.not_finite = False  # an element is finite on one side only
        self._worst_absolute = 0.0
        self._worst_wrong: tuple[float, int] = (-1.0, -1)
        self._dot = self._first_squares = self._second_squares = 0.0
        for first, (wanted, found) in tensors.parts(self._wanted, self._found):
            self._add(first, wanted, found)

    def _add(self, first: int, wanted: Array, found: Array) -> None:
        import numpy as np

        # A value that isn't finite must be the same; others may differ within the tolerance.
        finite = np.isfinite(wanted) & np.isfinite(found)
        same = (wanted == found) | (np.isnan(wanted) & np.isnan(found))
        one, other = np.where(finite, wanted, 0), np.where(finite, found, 0)
        distance = np.abs(other - one)
        allowed = np.maximum(self._tolerance * (np.abs(one) + self._peak), self._allowed)
        wrong = np.where(finite, distance > allowed, ~same)
        if wrong.any():
            self._excuse(first, wrong, found)
        self.not_finite = self.not_finite or bool((wrong & ~finite).any())
        self._worst_absolute = max(self._worst_absolute, float(distance.max(initial=0.0)))
        self._dot += float(np.vdot(one, other).real)
        self._first_squares += float(np.vdot(one, one).real)
        self._second_squares += float(np.vdot(other, other).real)
        if wrong.any():
            self.wrong += int(wrong.sum())
            # First those of which only one side is finite. The largest distance of all may be within the tolerance.
            score = np.where(wrong, np.where(finite, distance, np.inf), -1)
            place = int(np.argmax(score))
            self._worst_wrong = max(self._worst_wrong, (float(score[place]), -(first + place)))

    def _excuse(self, first: int, wrong: Array, found: Array) -> None:
        """Accept what the evaluations with other rounding showed, where they decided otherwise, and near ties."""
        import numpy as np

        if self._alternative is not None:
            other = tensors.wide(self._alternative[first : first + len(wrong)])
            with np.errstate(invalid="ignore"):
                near = np.abs(found - other) <= self._tolerance * (np.abs(other) + self._peak)
            self.alternative += int((wrong & near).sum())
            wrong &= ~near
        if self._competing is not None:
            places = np.flatnonzero(wrong)
            wrong[places[self._competing.ties(first + places)]] = False
        if self._unstable is None:
            return
        places, seen = self._unstable
        low, high = np.searchsorted(places, (first, first + len(wrong)))
        if low == high:
            return
        inside = places[low:high] - first
        shown = tensors.wide(np.ascontiguousarray(seen[:, low:high]))
        at = found[inside]
        accepted = ((shown == at) | (np.isnan(shown) & np.isnan(at))).any(axis=0)
        if not tensors.is_exact(self._tensor.dtype):
            lowest = np.minimum(shown.real.min(axis=0), self._wanted[places[low:high]].real.astype(float))
            highest = np.maximum(shown.real.max(axis=0), self._wanted[places[low:high]].real.astype(float))
            margin = self._tolerance * (np.abs(at) + self._peak)
            accepted |= (at.real >= lowest - margin) & (at.real <= highest + margin)
        wrong[inside[accepted]] = False

    @property
    def worst_absolute(self) -> float | None:
        """The largest difference; None where an element is finite on one side only."""
        return None if self.not_finite else self._worst_absolute

    @property
    def worst_relative(self) -> float | None:
        """The largest difference, divided by the output's largest |expected|; None where that is 0."""
        if self.not_finite:
            return None
        return self._worst_absolute / self._peak if self._peak else (0.0 if self._worst_absolute == 0 else None)

    def reason(self, origin: str) -> str:
        """What is wrong, in a sentence, with the worst of the wrong elements."""
        place = -self._worst_wrong[1]
        wanted, found = _distinct(self._wanted[place], self._found[place])
        count = f"{self.wrong:,} of {len(self._wanted):,} elements"
        exact = tensors.is_exact(self._tensor.dtype)
        what = f"{count} differ" if exact else f"{count} exceed the tolerance {self._tolerance:.3g}{origin}"
        where = place_of(place, self._tensor.shape)
        return f"output {self._tensor.name!r}: {what}; the worst, at {where}: expected {wanted}, got {found}"

    @property
    def cosine(self) -> float | None:
        """The cosine of the angle between the two outputs: 1 if both are all zeros, 0 if only one is."""
        lengths = math.sqrt(self._first_squares) * math.sqrt(self._second_squares)
        if not lengths:
            return 0.0 if self._first_squares or self._second_squares else 1.0
        return max(-1.0, min(1.0, self._dot / lengths))


def _distinct(wanted: Any, found: Any) -> tuple[str, str]:
    """Two different values as texts that differ, with as few digits as that takes."""
    if not hasattr(wanted, "dtype") or wanted.dtype.kind in "iub":
        return str(wanted), str(found)
    kind = complex if wanted.dtype.kind == "c" else float
    first, second = kind(wanted), kind(found)
    for digits in (6, 9, 12, 17):
        one, other = f"{first:.{digits}g}", f"{second:.{digits}g}"
        if one != other:
            break
    return one, other


def place_of(number: int, shape: Sequence[int]) -> list[int]:
    """The indices of an element by its number in C order."""
    indices: list[int] = []
    for size in reversed(shape):
        number, index = divmod(number, size)
        indices.insert(0, index)
    return indices
