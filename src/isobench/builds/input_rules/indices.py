"""Operands that are indices: within the table, list or axis that they point into."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from isobench.builds.input_rules.base import At, Rule, RuleMaker, exactly
from isobench.builds.input_rules.shapes import unpooled


def below(size: int | None, what: str) -> Rule | None:
    """Indices from 0 to `size` - 1 of `what`; nothing is known where `size` is None."""
    if size is None:
        return None
    if size <= 0:
        return Rule(words=f"indices of {what}, which has 0 rows", empty=True)
    return Rule(low=0, high=size - 1, whole=True, words=f"indices of {what} (0 to {size - 1})")


def _table(at: At, slot: int) -> str:
    """What the table is called: its name, or that of the operator where it is computed."""
    return at.name(slot) or f"input {slot} of {at.operator}"


def along_axis(at: At) -> Rule | None:
    """Indices along the attribute `axis` of the data."""
    shape = at.shape(0)
    if not shape:
        return None
    return below(shape[at.axis(len(shape))], _table(at, 0))


def rows_of(slot: int) -> RuleMaker:
    """Indices of the rows of the table at an input."""

    def rule(at: At) -> Rule | None:
        shape = at.shape(slot)
        return below(shape[0], _table(at, slot)) if shape else None

    return rule


def along(slot: int, axis: int) -> RuleMaker:
    """Indices along a fixed axis of the input at `slot`."""

    def rule(at: At) -> Rule | None:
        shape = at.shape(slot)
        return below(shape[axis], _table(at, slot)) if shape and len(shape) > axis else None

    return rule


def gather_nd(at: At) -> Rule | None:
    """Indices that are valid for each of the axes that one row of indices points into."""
    data, indices = at.shape(0), at.sizes()
    if not data or not indices:
        return None
    first = int(at.attribute("batch_dims", 0))
    axes = data[first : first + indices[-1]]
    return below(None if None in axes or not axes else min(size or 0 for size in axes), _table(at, 0))


def distinct_along_axis(at: At) -> Rule | None:
    """Indices along an axis of the data, none twice in a line, so that the order of updates doesn't matter."""
    data, indices = at.sizes(0), at.sizes()
    rule = along_axis(at)
    if not data or not indices or rule is None or rule.empty or len(data) != len(indices):
        return rule
    axis = at.axis(len(data))
    if at.use.path or indices[axis] > data[axis]:
        return rule

    def make(generator: Any, shape: tuple[int, ...]) -> Any:
        import numpy as np

        lines = (*shape[:axis], *shape[axis + 1 :], data[axis])
        values = generator.permuted(np.broadcast_to(np.arange(data[axis]), lines), axis=-1)
        return np.moveaxis(values[..., : shape[axis]], -1, axis)

    return Rule(make=make, words=rule.words)


def distinct_rows(at: At) -> Rule | None:
    """Rows of indices into the data, none twice, so that the order of updates doesn't matter."""
    data, indices = at.sizes(0), at.sizes()
    rule = gather_nd(at)
    if not data or not indices or rule is None or rule.empty or at.use.path:
        return rule
    axes, count = data[: indices[-1]], math.prod(indices[:-1])
    if count > math.prod(axes):
        return rule

    def make(generator: Any, shape: tuple[int, ...]) -> Any:
        import numpy as np

        chosen = generator.permutation(math.prod(axes))[:count]
        return np.stack(np.unravel_index(chosen, axes), axis=-1).reshape(shape)

    return Rule(make=make, words=f"indices of {_table(at, 0)}, none twice")


def one_hot(at: At) -> Rule | None:
    """Classes of OneHot, below its depth."""
    depth = at.integers(1)
    return below(depth[0] if depth else None, f"the classes of {at.operator}")


def depth(at: At) -> Rule | None:
    """The depth of OneHot: the declared size of its axis; 10 where that isn't declared."""
    declared = at.declared()
    size = declared[at.axis(len(declared), default=-1)] if declared else None
    return exactly(at, size or 10)


def classes(at: At) -> Rule | None:
    """The class of each element: below the size of axis 1 of the scores."""
    shape = at.shape(0)
    return below(shape[1], f"the classes of {at.operator}") if shape and len(shape) > 1 else None


def unpooling(at: At) -> Rule | None:
    """Flat places in the output of MaxUnpool."""
    given = at.integers(2)
    shape = given or unpooled(at)
    return None if shape is None else below(math.prod(shape), f"the output of {at.operator}")


def full_lengths(slot: int, axis: str | int) -> RuleMaker:
    """Lengths of sequences: the whole axis of the data at `slot`; `axis` is its place, or an attribute's name."""

    def rule(at: At) -> Rule | None:
        shape = at.shape(slot)
        place = axis if isinstance(axis, int) else int(at.attribute(axis, 0))
        if not shape or place >= len(shape) or shape[place] is None:
            return None
        return exactly(at, shape[place] or 0, "longest sequence")

    return rule


def recurrent_lengths(at: At) -> Rule | None:
    """Lengths for RNN, GRU and LSTM: all steps. Layout 1 has the batch first."""
    return full_lengths(0, 1 if at.attribute("layout", 0) else 0)(at)


def constant(value: float, words: str = "") -> RuleMaker:
    """The same value everywhere."""
    return lambda at: exactly(at, value, words)


def one_of(attributes: tuple[str, ...], what: str) -> RuleMaker:
    """Values of a list that an attribute of the operator holds: keys, categories, a pool of n-grams."""

    def rule(at: At) -> Rule | None:
        listed = next((found for name in attributes if (found := at.attribute(name)) is not None), None)
        entries = list(getattr(listed, "int64_data", []) or getattr(listed, "string_data", []) or ())
        if listed is not None and not hasattr(listed, "dims"):
            entries = list(listed)
        elif listed is not None and not entries:
            import onnx

            entries = list(onnx.numpy_helper.to_array(listed).reshape(-1))
        if not entries:
            return None
        return Rule(make=_choice(entries), words=f"{what} of {at.operator}")

    return rule


def _choice(entries: list[Any]) -> Callable[[Any, tuple[int, ...]], Any]:
    def make(generator: Any, shape: tuple[int, ...]) -> Any:
        import numpy as np

        values = [entry.decode() if isinstance(entry, bytes) else entry for entry in entries]
        array = np.array(values, dtype=object if isinstance(values[0], str) else None)
        return np.asarray(array[generator.integers(0, len(values), shape)], array.dtype)

    return make
