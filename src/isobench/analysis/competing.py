"""Near ties: indices that differ from the expected ones, but name values that are nearly equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from isobench.analysis import tensors
from isobench.workers.protocol import Tensor

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class Competing(Protocol):
    """The values that compete for the indices in an output."""

    def ties(self, places: Array) -> Array:
        """Which of the elements at these places (numbers in C order) are near ties?"""
        ...


class AlongAxis:
    """Indices along an axis (ArgMax, TopK): `values` are [outer, competitors, inner], indices [outer, chosen, inner].

    Values are nearly equal within `tolerance`. Nothing is a tie where an index is chosen twice.
    """

    def __init__(self, values: Tensor, expected: Tensor, actual: Tensor, tolerance: float) -> None:
        outer, self._count, self._inner = values.shape
        self._chosen = len(tensors.flat(expected)) // max(1, outer * self._inner)
        self._wanted, self._found = _indices(expected), _indices(actual)
        self._values = _Values(values, tolerance)
        self._repeats = _repeats(self._found.reshape(outer, self._chosen, self._inner).swapaxes(1, 2))

    def ties(self, places: Array) -> Array:
        import numpy as np

        wanted, found = self._wanted[places], self._found[places]
        inside = (found >= 0) & (found < self._count)
        outer, inner = places // (self._chosen * self._inner), places % self._inner
        row = outer * self._count
        one, other = ((row + index) * self._inner + inner for index in (wanted, np.where(inside, found, 0)))
        return np.asarray(inside & self._values.near(one, other) & (not self._repeats))


class OfRows:
    """Rows of indices into all axes of `values` (NonMaxSuppression: batch, class, box). A row that differs is a tie as
    a whole.
    """

    def __init__(self, values: Tensor, expected: Tensor, actual: Tensor, tolerance: float) -> None:
        self._shape = values.shape
        self._wanted, self._found = (_indices(one).reshape(-1, len(self._shape)) for one in (expected, actual))
        self._values = _Values(values, tolerance)
        self._repeats = _repeats(self._numbers(self._found)[None, None, :])

    def ties(self, places: Array) -> Array:
        import numpy as np

        rows = places // len(self._shape)
        found = self._found[rows]
        inside = ((found >= 0) & (found < np.asarray(self._shape))).all(axis=1)
        one, other = self._numbers(self._wanted[rows]), self._numbers(np.where(inside[:, None], found, 0))
        return np.asarray(inside & self._values.near(one, other) & (not self._repeats))

    def _numbers(self, rows: Array) -> Array:
        """The places of rows in the flat values."""
        import numpy as np

        steps = np.cumprod([1, *self._shape[:0:-1]])[::-1]
        return np.asarray(rows @ steps)


class _Values:
    """The competing values, and which of them are nearly equal: as the elements of an output of their type are."""

    def __init__(self, values: Tensor, tolerance: float) -> None:
        self._flat = tensors.flat(values)
        self._peak, self._tolerance = tensors.peak(self._flat), tolerance

    def near(self, one: Array, other: Array) -> Array:
        import numpy as np

        first, second = tensors.wide(self._flat[one]), tensors.wide(self._flat[other])
        return np.asarray(np.abs(first - second) <= self._tolerance * (np.abs(first) + self._peak))


def _indices(tensor: Tensor) -> Array:
    import numpy as np

    return np.asarray(tensors.flat(tensor).astype(np.int64))


def _repeats(indices: Array) -> bool:
    """Is any index repeated along the last axis?"""
    import numpy as np

    return bool((np.diff(np.sort(indices, axis=-1), axis=-1) == 0).any())
