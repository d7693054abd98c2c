"""Compares the outputs of the timed run with the expected ones: a fast wrong answer is no result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

from isobench.analysis import tensors
from isobench.analysis.competing import AlongAxis, Competing, OfRows
from isobench.analysis.differences import Differences, place_of
from isobench.analysis.output_spread import OutputSpread
from isobench.analysis.spread import too_unstable, unstable_of
from isobench.analysis.tolerances import TOLERANCES, UNJUDGED, multiple
from isobench.record import record
from isobench.workers.protocol import STRING, Tensor, unpack_strings

LEAST_FOR_MOMENTS = 100
"""Random outputs with fewer elements have no mean and deviation that could be compared."""
MOMENTS_APART = 8.0
"""Standard errors by which the means of random outputs may differ."""
_MOST_UNEXPECTED = 10
"""So many outputs that the model doesn't have are named."""


class Outcome(StrEnum):
    """What the comparison of an output found."""

    CORRECT = "correct"
    WRONG = "wrong"
    RANDOM = "random"
    """The model computes something else each time: only type, shape and finiteness were compared."""
    UNJUDGED = "unjudged"
    """The model amplifies rounding so much that other arithmetic couldn't be distinguished."""
    NOT_COMPARED = "not-compared"
    """The runtime returned no outputs, the output is empty, or its type can't be compared."""


@record(frozen=True, slots=True, kw_only=True)
class TensorCorrectness:
    """One output: `worst_relative` is the worst difference divided by the output's largest |expected|.

    `tolerance` is what was used, relative to |expected| + the largest |expected|; `amplification` is how many units in
    the last place of `arithmetic` one unit becomes in the model, None where it is unknown. Of a quantised output, an
    element may always differ by one `step`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    ok: bool
    tolerance: float
    worst_absolute: float | None
    worst_relative: float | None
    cosine: float | None
    outcome: Outcome | None = None
    amplification: float | None = None
    arithmetic: str = ""
    step: float = 0.0


@record(frozen=True, slots=True, kw_only=True)
class Correctness:
    """All outputs: their worst differences and lowest cosine; `reasons` say what is wrong, in sentences.

    A figure is None where nothing could be compared: a missing output, another shape, or values that aren't finite.
    `notes` say what was not compared or can't be judged; `doubts` those of them for which a measurement is noisy.
    """

    ok: bool
    worst_absolute: float | None
    worst_relative: float | None
    cosine: float | None
    tensors: tuple[TensorCorrectness, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The outcome of all outputs."""
        tensors = [(tensor.shape, tensor.outcome) for tensor in self.tensors]
        return outcome_of_all(tensors, ok=self.ok, any_compared=self.worst_absolute is not None)


def outcome_of_all(
    tensors: Iterable[tuple[Sequence[int], Outcome | str | None]], *, ok: bool, any_compared: bool
) -> Outcome:
    """The first of wrong, not compared, unjudged and random that any output has, each given as its shape and outcome.

    An empty output counts only where all are empty.
    """
    if not ok:
        return Outcome.WRONG
    found = {outcome for shape, outcome in tensors if math.prod(shape)}
    if not found and not any_compared:
        return Outcome.NOT_COMPARED
    order = (Outcome.NOT_COMPARED, Outcome.UNJUDGED, Outcome.RANDOM)
    return next((outcome for outcome in order if outcome in found), Outcome.CORRECT)


@record(frozen=True, slots=True, kw_only=True)
class Expected:
    """The expected outputs with their spreads; `unstable` are the tensors that `spread.spreads` returned with them.

    `drawn` says that isobench drew the inputs. `other_weights` says why the model that was measured has other weights
    than the one that computed the outputs; "" if it hasn't.
    """

    outputs: Sequence[Tensor]
    spreads: Mapping[str, OutputSpread]
    unstable: Mapping[str, Tensor]
    drawn: bool = False
    other_weights: str = ""

    @classmethod
    def of(
        cls,
        outputs: Sequence[Tensor],
        spreads: Sequence[OutputSpread] = (),
        unstable: Sequence[Tensor] = (),
        *,
        drawn: bool = False,
    ) -> Expected:
        return cls(
            outputs=outputs,
            spreads={spread.name: spread for spread in spreads},
            unstable={tensor.name: tensor for tensor in unstable},
            drawn=drawn,
        )

    def for_weights(self, built: str, measured: str | None) -> Expected:
        """What is expected of a model whose weights have the hash `measured` (None: unknown), if it was `built`."""
        if measured is None or measured == built:
            return self
        return replace(
            self,
            other_weights=f"the script computes something else each time: its weights differ from those of the build "
            f"({measured[:8]} and {built[:8]}), so the outputs weren't compared; it is built again next time",
        )

    def competing(self, output: Tensor, actual: Tensor) -> Competing | None:
        """The values that compete for the indices in an output, None if they aren't known."""
        rows = self.unstable.get(f"{output.name}:rows:competing")
        values = rows or self.unstable.get(f"{output.name}:competing")
        if values is None or not math.prod(values.shape):
            return None
        widest = max((_tolerance(tensor.dtype, self.spread(tensor.name)) for tensor in self._floats()), default=0.0)
        tolerance = max(TOLERANCES.get(values.dtype, 0.0), widest)
        return (OfRows if rows else AlongAxis)(values, output, actual, tolerance)

    def _floats(self) -> list[Tensor]:
        return [tensor for tensor in self.outputs if tensor.dtype in {"float32", "float64"}]

    def spread(self, name: str) -> OutputSpread:
        return self.spreads.get(name) or OutputSpread(name=name)


def worst_of(compared: Sequence[Correctness], names: Sequence[str]) -> Correctness:
    """The first of several comparisons that isn't ok, or the first of all; its sentences name its set of inputs."""
    place = next((place for place, one in enumerate(compared) if not one.ok), 0)
    found = compared[place]
    if len(compared) == 1:
        return found
    return replace(found, reasons=tuple(f"with {names[place]}: {reason}" for reason in found.reasons))


def compare(expected: Expected, actual: Sequence[Tensor]) -> Correctness:
    """Compare outputs by name. NaN equals NaN in the same place, infinity equals infinity of the same sign."""
    given = {tensor.name: tensor for tensor in actual}
    wanted = {tensor.name for tensor in expected.outputs}
    if expected.outputs and not actual:
        return _nothing_returned(expected)
    reasons = [f"missing output {tensor.name!r}" for tensor in expected.outputs if tensor.name not in given]
    unexpected = [name for name in given if name not in wanted]
    reasons += [f"unexpected output {name!r:.80}" for name in unexpected[:_MOST_UNEXPECTED]]
    if len(unexpected) > _MOST_UNEXPECTED:
        reasons.append(f"and {len(unexpected) - _MOST_UNEXPECTED} more unexpected outputs")
    compared = []
    notes = [] if expected.outputs else ["the model returns no tensors: there is nothing to compare"]
    doubts = [expected.other_weights] if expected.other_weights else []
    for tensor in expected.outputs:
        # Of values that isobench drew itself, it is a reason to doubt the measurement.
        (doubts if expected.drawn else notes).extend(_not_finite(tensor, expected))
        if tensor.name in given:
            record, reason, note = _compare(tensor, given[tensor.name], expected)
            compared.append(record)
            reasons += [reason] if reason else []
            notes += [note] if note else []
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
        notes=tuple(dict.fromkeys(notes)),
        doubts=tuple(doubts),
    )


def _nothing_returned(expected: Expected) -> Correctness:
    return Correctness(
        ok=True,
        worst_absolute=None,
        worst_relative=None,
        cosine=None,
        tensors=tuple(_blank(tensor, Outcome.NOT_COMPARED, 0.0, expected) for tensor in expected.outputs),
        reasons=(),
        doubts=("the runtime returned no outputs, so they weren't compared",),
    )


def _not_finite(tensor: Tensor, expected: Expected) -> list[str]:
    """That NaN or infinity is expected, which an inference of real data hardly returns."""
    count = expected.spread(tensor.name).not_finite
    if not count:
        return []
    elements = math.prod(tensor.shape)
    found = f"{count:,} of {elements:,} expected elements of output {tensor.name!r} are NaN or infinite"
    if expected.drawn:
        return [f"{found}: the drawn inputs may lie outside of the model's domain; give inputs with --inputs"]
    return [f"{found} with these inputs"]


def _compare(expected: Tensor, actual: Tensor, all_expected: Expected) -> tuple[TensorCorrectness, str, str]:
    """The comparison of one output: its record; why it is wrong; what else there is to say of it."""
    spread = all_expected.spread(expected.name)
    tolerance = _tolerance(expected.dtype, spread)
    misfit = _misfit(expected, actual, spread)
    if misfit:
        return _blank(expected, Outcome.WRONG, tolerance, all_expected), misfit, ""
    if expected.shape != actual.shape and not spread.random:
        note = f"output {expected.name!r} can't be judged: rounding alone changes its shape"
        return _blank(expected, Outcome.UNJUDGED, tolerance, all_expected), "", note
    if spread.random or all_expected.other_weights:
        return _blank(expected, Outcome.RANDOM, tolerance, all_expected), "", _random(expected, actual, spread)
    if not expected.data:
        note = (
            f"output {expected.name!r} is empty ({expected.dtype}{list(expected.shape)}): there is nothing to compare"
        )
        return _blank(expected, Outcome.NOT_COMPARED, tolerance, all_expected), "", note
    if expected.data == actual.data:
        same = _blank(expected, Outcome.CORRECT, tolerance, all_expected)
        return replace(same, worst_absolute=0.0, worst_relative=0.0, cosine=1.0), "", ""
    if expected.dtype == STRING:
        return _blank(expected, Outcome.WRONG, 0.0, all_expected), _different_texts(expected, actual), ""
    competing = all_expected.competing(expected, actual)
    found = Differences(
        expected,
        actual,
        tolerance,
        step=spread.step,
        unstable=unstable_of(expected.name, all_expected.unstable),
        competing=competing,
        alternative=all_expected.unstable.get(f"{expected.name}:alternative"),
    )
    unjudged = "" if competing else _unjudged(expected, spread, tolerance)
    outcome, reason, note = _judged(unjudged, found, _of_the_model(expected.dtype, spread, tolerance))
    if found.alternative:
        note = (
            f"{found.alternative:,} elements of output {expected.name!r} are those that PyTorch computes without its "
            f"fast path of transformers, which zeroes what is padded"
        )
    record = replace(
        _blank(expected, outcome, tolerance, all_expected),
        worst_absolute=found.worst_absolute,
        worst_relative=found.worst_relative,
        cosine=found.cosine,
    )
    return record, reason, note


def _misfit(expected: Tensor, actual: Tensor, spread: OutputSpread) -> str:
    """How the types or the shapes of an output differ; "" if they don't."""
    if expected.dtype != actual.dtype:
        return f"output {expected.name!r} must have type {expected.dtype}, got {actual.dtype}"
    if expected.shape != actual.shape and not spread.varies:
        return f"output {expected.name!r} must have shape {list(expected.shape)}, got {list(actual.shape)}"
    return ""


def _random(expected: Tensor, actual: Tensor, spread: OutputSpread) -> str:
    """What there is to say of an output whose values can't be compared; nothing where the weights differ."""
    if not spread.random:
        return ""
    note = f"output {expected.name!r} is random: not compared, because the model computes something else each time"
    return note + _moments(expected, actual)


def _judged(unjudged: str, found: Differences, origin: str) -> tuple[Outcome, str, str]:
    """The outcome of an output; why it is wrong; what else there is to say of it."""
    if unjudged and not found.not_finite:
        return Outcome.UNJUDGED, "", unjudged
    if not found.wrong:
        return Outcome.CORRECT, "", ""
    return Outcome.WRONG, found.reason(origin), ""


def _tolerance(dtype: str, spread: OutputSpread) -> float:
    """The larger one of the type's tolerance, or that of narrower arithmetic inside, and a multiple of the spread."""
    own = TOLERANCES.get(dtype, 0.0)
    if spread.spread is None:
        return own
    inner = TOLERANCES.get(spread.arithmetic, 0.0) if spread.arithmetic in {"float16", "bfloat16"} else 0.0
    return max(own, inner, multiple(spread.arithmetic) * spread.spread)


def _of_the_model(dtype: str, spread: OutputSpread, tolerance: float) -> str:
    """Where the tolerance comes from, if it isn't the type's own."""
    if spread.spread is None or tolerance <= TOLERANCES.get(dtype, 0.0):
        return ""
    return f" (the model amplifies rounding: {spread.amplification:.3g} units in the last place of {spread.arithmetic})"


def _unjudged(tensor: Tensor, spread: OutputSpread, tolerance: float) -> str:
    """Why an output can't be judged; "" if it can."""
    elements = math.prod(tensor.shape)
    if too_unstable(spread, elements):
        share = f"{spread.unstable / elements:.0%} of its elements"
        return f"output {tensor.name!r} can't be judged: rounding alone changes {share} completely"
    # A tolerance of few bits is wide without any amplification.
    if tolerance > max(UNJUDGED, TOLERANCES.get(tensor.dtype, 0.0)):
        return (
            f"output {tensor.name!r} can't be judged: the model amplifies rounding {spread.amplification:.2g} times, "
            f"so arithmetic with fewer bits couldn't be distinguished from {spread.arithmetic}"
        )
    return ""


def _moments(expected: Tensor, actual: Tensor) -> str:
    """How a random output differs from the expected one as a whole; "" if it doesn't, or that can't be seen."""
    import numpy as np

    if expected.dtype in {STRING, "bool"} or expected.dtype.startswith("complex"):
        return ""
    first, second = (tensors.wide(tensors.flat(tensor)) for tensor in (expected, actual))
    if not np.isfinite(second).all() and np.isfinite(first).all():
        return "; it has NaNs or infinities, where the expected output has none"
    if min(first.size, second.size) < LEAST_FOR_MOMENTS or not np.isfinite(first).all():
        return ""
    deviation, others = float(first.std()), float(second.std())
    error = max(deviation, others) * (1 / first.size + 1 / second.size) ** 0.5
    apart = abs(float(first.mean() - second.mean())) > MOMENTS_APART * error
    if apart or max(deviation, others) > 2 * min(deviation, others):
        return (
            f"; its mean is {float(second.mean()):.4g} and its deviation {others:.4g}, "
            f"expected: {float(first.mean()):.4g} and {deviation:.4g}"
        )
    return ""


def _different_texts(expected: Tensor, actual: Tensor) -> str:
    wanted, found = unpack_strings(expected.data), unpack_strings(actual.data)
    wrong = [place for place, (one, other) in enumerate(zip(wanted, found, strict=True)) if one != other]
    return (
        f"output {expected.name!r}: {len(wrong):,} of {len(wanted):,} elements differ; "
        f"the first, at {place_of(wrong[0], expected.shape)}: expected {wanted[wrong[0]]!r}, got {found[wrong[0]]!r}"
    )


def _blank(tensor: Tensor, outcome: Outcome, tolerance: float, expected: Expected) -> TensorCorrectness:
    """The record of an output before its differences are known."""
    spread = expected.spread(tensor.name)
    return TensorCorrectness(
        name=tensor.name,
        dtype=tensor.dtype,
        shape=tensor.shape,
        ok=outcome is not Outcome.WRONG,
        tolerance=tolerance,
        worst_absolute=None,
        worst_relative=None,
        cosine=None,
        outcome=outcome,
        amplification=spread.amplification,
        arithmetic=spread.arithmetic if spread.spread is not None else "",
        step=spread.step,
    )
