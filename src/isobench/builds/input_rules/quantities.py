"""Operands that are quantities: scales, zero points, ratios, divisors, thresholds, boxes, windows of signals."""

from __future__ import annotations

from typing import Any

from isobench.builds.input_rules.base import At, Rule, RuleMaker, exactly, within

# ONNX's numbers of the unsigned types whose middle is the zero point of data around 0.
MIDDLES = {2: 128, 4: 32_768, 21: 8}
INTEGERS = frozenset(range(2, 8)) | {12, 13, 21, 22}
FLOATS = frozenset({1, 10, 11, 16})


def _element_type(at: At, slot: int | None = None) -> int:
    name = at.name(at.use.slot if slot is None else slot)
    return at.scope.element_type(name)


def uniform(low: float, high: float) -> RuleMaker:
    """Values from `low` to `high`."""
    return lambda at: within(low, high, f"uniform {low:g} to {high:g} ({at.use.operand} of {at.operator})")


def floats_only(maker: RuleMaker) -> RuleMaker:
    """The rule, for inputs of floating point alone."""
    return lambda at: maker(at) if _element_type(at) in FLOATS else None


def zero_point(at: At) -> Rule | None:
    """The middle of an unsigned type; 0 of any other."""
    return exactly(at, MIDDLES.get(_element_type(at), 0))


def divisor(at: At) -> Rule | None:
    """Integers that aren't 0."""
    if _element_type(at) not in INTEGERS:
        return None
    return within(1, 9, f"integers from 1 to 9 (divisor of {at.operator}: never 0)")


def exponent(at: At) -> Rule | None:
    """Small powers; of integers, not negative."""
    return within(0, 3, f"0 to 3 (exponent of {at.operator})")


def base(at: At) -> Rule | None:
    """Positive where the exponent may be a fraction, since the power of a negative number would not be a number."""
    power = at.value(1)
    whole = _element_type(at, 1) in INTEGERS if power is None else bool((power == power.astype(int)).all())
    if _element_type(at) not in FLOATS or whole:
        return None
    return within(0.1, 2, f"uniform 0.1 to 2 (base of {at.operator}: never negative)")


def shift(at: At) -> Rule | None:
    """Bits to shift by."""
    return within(0, 7, f"integers from 0 to 7 (bits that {at.operator} shifts by)")


def condition(at: At) -> Rule | None:
    """True: the seed must not choose which branch is measured."""
    return exactly(at, True) and Rule(exact=_true(at), words=f"true (chooses the branch of {at.operator})")


def _true(at: At) -> Any:
    import numpy as np

    return np.ones(at.sizes() or (), bool)


def goes_on(at: At) -> Rule | None:
    """True: the loop runs."""
    return exactly(at, True, "condition")


def minimum(at: At) -> Rule | None:
    """A lower bound that is below the upper one."""
    return exactly(at, -1 if _element_type(at) in FLOATS else 2)


def maximum(at: At) -> Rule | None:
    """An upper bound that is above the lower one."""
    return exactly(at, 1 if _element_type(at) in FLOATS else 7)


def regions(at: At) -> Rule | None:
    """Boxes (x1, y1, x2, y2) within the data, the second corner behind the first; (batch index before it, if five)."""
    data, boxes = at.sizes(0), at.sizes()
    if not data or not boxes or len(data) != 4 or boxes[-1] not in {4, 5}:
        return None
    scale = float(at.attribute("spatial_scale", 1.0)) or 1.0
    height, width = (max(1.0, (size - 1) / scale) for size in data[2:])

    def make(generator: Any, shape: tuple[int, ...]) -> Any:
        import numpy as np

        first = generator.uniform(0, 0.5, (*shape[:-1], 2)) * (width, height)
        second = generator.uniform(0.5, 1, (*shape[:-1], 2)) * (width, height)
        batch = [generator.integers(0, data[0], (*shape[:-1], 1))] if shape[-1] == 5 else []
        return np.concatenate([*batch, first, second], axis=-1)

    return Rule(make=make, words=f"boxes within {data[3]} x {data[2]} ({at.use.operand} of {at.operator})")


def overlapping_boxes(at: At) -> Rule | None:
    """Boxes for NonMaxSuppression, by two corners or by centre and size, between 0 and 2."""
    boxes = at.sizes()
    if not boxes or boxes[-1] != 4:
        return None
    if at.attribute("center_point_box", 0):
        return within(0, 1, f"boxes ({at.use.operand} of {at.operator})")

    def make(generator: Any, shape: tuple[int, ...]) -> Any:
        import numpy as np

        corner = generator.uniform(0, 1, (*shape[:-1], 2))
        return np.concatenate([corner, corner + generator.uniform(0.1, 1, (*shape[:-1], 2))], axis=-1)

    return Rule(make=make, words=f"boxes ({at.use.operand} of {at.operator})")


def window_size(at: At) -> Rule | None:
    """The size of a window (of Hann, Hamming or Blackman): as declared, else 10."""
    declared = at.declared()
    return exactly(at, declared[0] if declared and declared[0] else 10)


def mel_bins(at: At) -> Rule | None:
    """Bins of MelWeightMatrix: as declared, else 8."""
    declared = at.declared()
    return exactly(at, declared[1] if declared and len(declared) == 2 and declared[1] else 8)


def mel_length(at: At) -> Rule | None:
    """The transform's length for MelWeightMatrix: as declared, else 16."""
    declared = at.declared()
    return exactly(at, 2 * (declared[0] - 1) if declared and len(declared) == 2 and declared[0] else 16)


def dft_length(at: At) -> Rule | None:
    """The length of DFT: the declared one, else that of the signal."""
    shape, declared = at.shape(0), at.declared()
    given = at.integers(2)
    axis = given[0] if given else int(at.attribute("axis", 1 if at.opset < 20 else -2))
    if not shape or not -len(shape) <= axis < len(shape):
        return None
    full = declared[axis] if declared and len(declared) == len(shape) and not at.attribute("onesided", 0) else None
    return exactly(at, full or shape[axis] or 1)


def dft_axis(at: At) -> Rule | None:
    """The axis of DFT: the one whose declared size differs from the signal's, else the last before the complex one."""
    shape, declared = at.shape(0), at.declared()
    if not shape:
        return None
    if declared is not None and len(declared) == len(shape):
        changed = [k for k in range(len(shape) - 1) if declared[k] not in {None, shape[k]}]
        if changed:
            return exactly(at, changed[0])
    return exactly(at, max(0, len(shape) - 2))


def frame_step(at: At) -> Rule | None:
    """The step between frames of STFT: as the declared number of frames requires, else half a frame."""
    signal, declared = at.shape(0), at.declared()
    length = _frame_length(at)
    if not signal or len(signal) < 2 or signal[1] is None:
        return None
    frames = declared[1] if declared and len(declared) > 1 else None
    if frames and frames > 1 and signal[1] > length:
        return exactly(at, max(1, (signal[1] - length) // (frames - 1)))
    return exactly(at, max(1, length // 2))


def frame_length(at: At) -> Rule | None:
    """The length of STFT's frames: the window's, else as declared, else half of the signal."""
    return exactly(at, _frame_length(at))


def _frame_length(at: At) -> int:
    window, declared, signal = at.shape(2), at.declared(), at.shape(0)
    if window and window[0]:
        return window[0]
    if at.use.slot != 3 and (given := at.integers(3)):
        return given[0]
    if declared and len(declared) > 2 and declared[2]:
        return 2 * (declared[2] - 1) if at.attribute("onesided", 1) else declared[2]
    return max(1, (signal[1] or 2) // 2) if signal and len(signal) > 1 else 2


def numerals(at: At) -> Rule | None:
    """Text that is a number, for a Cast of strings."""
    if _element_type(at) != 8:
        return None

    def make(generator: Any, shape: tuple[int, ...]) -> Any:
        return generator.integers(0, 100, shape).astype(str).astype(object)

    return Rule(make=make, words=f"numbers as text ({at.operator})")
