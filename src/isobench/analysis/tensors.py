"""Tensors of the protocol as numpy arrays, and their values part by part, so that large ones need little memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from isobench.workers.protocol import Tensor

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

PART = 1 << 20
"""Elements that are compared at a time."""


def flat(tensor: Tensor) -> Array:
    """The elements in C order, in their own type: a view of the tensor's bytes. Not for text."""
    import numpy as np

    if tensor.dtype == "bfloat16" or tensor.dtype.startswith(("float8", "float4")):
        import ml_dtypes

        kind = np.dtype(getattr(ml_dtypes, tensor.dtype))
    elif tensor.dtype.endswith(("int4", "int2")):
        kind = np.dtype(np.uint8)  # each in a byte of its own
    else:
        kind = np.dtype(tensor.dtype).newbyteorder("<")
    return np.frombuffer(tensor.data, dtype=kind)


def wide(values: Array) -> Array:
    """The values in a type that represents differences exactly enough: float64, longdouble or complex128."""
    import numpy as np

    if values.dtype.kind == "c":
        return values.astype(np.complex128)
    # Beyond 2**53, float64 can't distinguish neighbours.
    return values.astype(np.longdouble if values.dtype.kind in "iu" and values.dtype.itemsize == 8 else np.float64)


def parts(*arrays: Array) -> Iterator[tuple[int, Sequence[Array]]]:
    """Arrays of one length in parts, widened, each with the place of its first element."""
    for first in range(0, len(arrays[0]), PART):
        yield first, [wide(array[first : first + PART]) for array in arrays]


def is_exact(dtype: str) -> bool:
    """Must its values be equal? True of whole numbers, booleans and strings."""
    return not dtype.startswith(("float", "bfloat", "complex"))


def peak(values: Array) -> float:
    """The largest magnitude among the finite values; 0 if there is none."""
    import numpy as np

    largest = 0.0
    for _, (part,) in parts(values):
        size = np.abs(part)
        largest = max(largest, float(size[np.isfinite(size)].max(initial=0.0)))
    return largest


def not_finite(values: Array) -> int:
    """How many values are NaN or infinite."""
    import numpy as np

    if values.dtype.kind in "iub":
        return 0
    return sum(int((~np.isfinite(part)).sum()) for _, (part,) in parts(values))
