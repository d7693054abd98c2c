"""Compares the outputs of the timed run with the expected ones: a fast wrong answer is no result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isobench.workers.protocol import Tensor

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

TOLERANCES = {
    "float64": 1e-7,
    "float32": 1e-4,
    "float16": 1e-2,
    "bfloat16": 4e-2,
    "complex64": 1e-4,
    "complex128": 1e-7,
    "float8_e4m3fn": 0.15,
    "float8_e4m3fnuz": 0.15,
    "float8_e5m2": 0.3,
    "float8_e5m2fnuz": 0.3,
}
"""For each type: an element may differ by tolerance * (|expected| + the output's largest |expected|).

For float32, another order of summation stays well below that (1e-6 to 1e-5 in practice), and arithmetic that was
silently done in bfloat16 or TF32 (8 and 10 bits of mantissa) exceeds it. Integers and booleans must be equal.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorCorrectness:
    """One output: `worst_relative` is the worst difference divided by the output's largest |expected|."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    ok: bool
    tolerance: float
    worst_absolute: float | None
    worst_relative: float | None
    cosine: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Correctness:
    """All outputs: their worst differences and lowest cosine; `reasons` say what is wrong, in sentences.

    A figure is None where nothing could be compared: a missing output, another shape, or values that aren't finite.
    """

    ok: bool
    worst_absolute: float | None
    worst_relative: float | None
    cosine: float | None
    tensors: tuple[TensorCorrectness, ...]
    reasons: tuple[str, ...]


def compare(expected: Sequence[Tensor], actual: Sequence[Tensor]) -> Correctness:
    """Compare outputs by name. NaN equals NaN in the same place, infinity equals infinity of the same sign."""
    given = {tensor.name: tensor for tensor in actual}
    wanted = {tensor.name for tensor in expected}
    reasons = [f"missing output {tensor.name!r}" for tensor in expected if tensor.name not in given]
    reasons += [f"unexpected output {name!r}" for name in given if name not in wanted]
    compared = []
    for tensor in expected:
        if tensor.name in given:
            outcome, reason = _compare(tensor, given[tensor.name])
            compared.append(outcome)
            reasons += [reason] if reason else []
    absolute = [entry.worst_absolute for entry in compared if entry.worst_absolute is not None]
    relative = [entry.worst_relative for entry in compared if entry.worst_relative is not None]
    cosines = [entry.cosine for entry in compared if entry.cosine is not None]
    return Correctness(
        ok=not reasons,
        worst_absolute=max(absolute, default=None),
        worst_relative=max(relative, default=None),
        cosine=min(cosines, default=None),
        tensors=tuple(compared),
        reasons=tuple(reasons),
    )


def _compare(expected: Tensor, actual: Tensor) -> tuple[TensorCorrectness, str]:
    tolerance = TOLERANCES.get(expected.dtype, 0.0)
    for what, wanted, found in (
        ("type", expected.dtype, actual.dtype),
        ("shape", list(expected.shape), list(actual.shape)),
    ):
        if wanted != found:
            return _record(
                expected, tolerance, ok=False
            ), f"output {expected.name!r} must have {what} {wanted}, got {found}"
    if expected.data == actual.data:
        return _record(expected, tolerance, ok=True, absolute=0.0, relative=0.0, cosine=1.0), ""
    return _compare_values(expected, _wide(expected), _wide(actual), tolerance)


def _compare_values(tensor: Tensor, wanted: Array, found: Array, tolerance: float) -> tuple[TensorCorrectness, str]:
    import numpy as np

    # A value that isn't finite must be the same; others may differ within the tolerance.
    finite = np.isfinite(wanted) & np.isfinite(found)
    same = (wanted == found) | (np.isnan(wanted) & np.isnan(found))
    distance = np.where(finite, np.abs(np.where(finite, found, 0) - np.where(finite, wanted, 0)), 0)
    size = np.abs(np.where(np.isfinite(wanted), wanted, 0))
    peak = float(size.max(initial=0.0))
    wrong = np.where(finite, distance > tolerance * (size + peak), ~same)
    worst = float(distance.max(initial=0.0))
    strange = bool((~finite & ~same).any())
    outcome = _record(
        tensor,
        tolerance,
        ok=not wrong.any(),
        absolute=None if strange else worst,
        relative=None if strange else worst / peak if peak else (0.0 if worst == 0 else None),
        cosine=_cosine(wanted[finite], found[finite]),
    )
    if outcome.ok:
        return outcome, ""
    # The worst of the wrong elements: first those of which only one side is finite. The largest distance of all may be
    # within the tolerance, where a large value is expected.
    score = np.where(wrong, np.where(finite, distance, np.inf), -1)
    place = np.unravel_index(int(np.argmax(score)), score.shape)
    where = [int(index) for index in place]
    return outcome, (
        f"output {tensor.name!r}: {int(wrong.sum()):,} of {wrong.size:,} elements exceed the tolerance {tolerance:g}; "
        f"the worst, at {where}: expected {wanted[place]:.6g}, got {found[place]:.6g}"
    )


def _record(
    tensor: Tensor,
    tolerance: float,
    *,
    ok: bool,
    absolute: float | None = None,
    relative: float | None = None,
    cosine: float | None = None,
) -> TensorCorrectness:
    return TensorCorrectness(
        name=tensor.name,
        dtype=tensor.dtype,
        shape=tensor.shape,
        ok=ok,
        tolerance=tolerance,
        worst_absolute=absolute,
        worst_relative=relative,
        cosine=cosine,
    )


def _wide(tensor: Tensor) -> Array:
    """The values in a type that represents differences exactly enough: float64, longdouble or complex128."""
    import numpy as np

    if tensor.dtype == "bfloat16" or tensor.dtype.startswith("float8"):
        import ml_dtypes

        kind = np.dtype(getattr(ml_dtypes, tensor.dtype))
    else:
        kind = np.dtype(tensor.dtype).newbyteorder("<")
    values = np.frombuffer(tensor.data, dtype=kind).reshape(tensor.shape)
    if kind.kind == "c":
        return values.astype(np.complex128)
    # Beyond 2**53, float64 can't distinguish neighbours.
    return values.astype(np.longdouble if tensor.dtype in {"int64", "uint64"} else np.float64)


def _cosine(one: Array, other: Array) -> float | None:
    """The cosine of the angle between two outputs: 1 if both are all zeros, 0 if only one is."""
    import numpy as np

    if not one.size:
        return None
    kind = complex if np.iscomplexobj(one) else float
    first, second = (np.asarray(values, dtype=kind).ravel() for values in (one, other))
    lengths = float(np.linalg.norm(first)) * float(np.linalg.norm(second))
    if not lengths:
        return 0.0 if first.any() or second.any() else 1.0
    return max(-1.0, min(1.0, float(np.vdot(first, second).real) / lengths))
