"""Operands that name axes, or that belong to axes: of reductions, Squeeze, Unsqueeze, Slice, Pad."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from isobench.builds.input_rules.base import At, Rule, exactly, fits

MOST_CHOICES = 5_000


def _choose(rank: int, count: int, agrees: Callable[[tuple[int, ...]], bool], preferred: Sequence[int]) -> list[int]:
    """`count` of `rank` axes whose output agrees with the declared one; else the preferred ones."""
    for axes in itertools.islice(itertools.combinations(range(rank), count), MOST_CHOICES):
        if agrees(axes):
            return list(axes)
    return list(preferred)


def reduced(at: At) -> Rule | None:
    """The axes of a reduction: those that the declared output lacks, else the last ones."""
    sizes, count, declared = at.sizes(0), at.count, at.declared()
    if sizes is None or count is None or count > len(sizes):
        return None
    keep = at.attribute("keepdims", 1)

    def agrees(axes: tuple[int, ...]) -> bool:
        left = [1 if k in axes else size for k, size in enumerate(sizes) if keep or k not in axes]
        return fits(left, declared)

    last = range(len(sizes) - count, len(sizes))
    unknown = declared is None or all(size is None for size in declared)
    return exactly(at, list(last) if unknown else _choose(len(sizes), count, agrees, last))


def squeezed(at: At) -> Rule | None:
    """Axes of size 1."""
    sizes, count, declared = at.sizes(0), at.count, at.declared()
    if sizes is None or count is None:
        return None
    ones = [k for k, size in enumerate(sizes) if size == 1]

    def agrees(axes: tuple[int, ...]) -> bool:
        left = [size for k, size in enumerate(sizes) if k not in axes]
        return set(axes) <= set(ones) and fits(left, declared)

    axes = _choose(len(sizes), count, agrees, ones[:count])
    return exactly(at, axes) if len(axes) == count else None


def unsqueezed(at: At) -> Rule | None:
    """The axes of size 1 that the declared output has and the data has not, else the first ones."""
    sizes, count, declared = at.sizes(0), at.count, at.declared()
    if sizes is None or count is None:
        return None
    rank = len(sizes) + count

    def agrees(axes: tuple[int, ...]) -> bool:
        others = iter(sizes)
        return fits([1 if k in axes else next(others) for k in range(rank)], declared)

    return exactly(at, _choose(rank, count, agrees, range(count)))


def first_axis(at: At) -> Rule | None:
    """Axis 0."""
    return exactly(at, 0)


def _changed(at: At, count: int) -> list[int] | None:
    """`count` axes of the data: those whose declared size differs first."""
    sizes, declared = at.sizes(0), at.declared()
    if sizes is None or count > len(sizes):
        return None
    if declared is None or len(declared) != len(sizes):
        declared = sizes
    differ = [k for k, size in enumerate(sizes) if declared[k] not in {None, size}]
    others = [k for k in range(len(sizes)) if k not in differ]
    return sorted([*differ, *others][:count])


def changed(at: At) -> Rule | None:
    """The axes of Slice and Pad: those whose declared size differs from the data's, in order, then others."""
    axes = None if at.count is None else _changed(at, at.count)
    return None if axes is None else exactly(at, axes)


def _axes_of(at: At, slot: int, count: int, rank: int) -> list[int]:
    given = at.integers(slot)
    return [axis % rank for axis in given] if given is not None and rank else list(range(count))


def slice_starts(at: At) -> Rule | None:
    """The first element, or the last one where a step is negative."""
    return _slice(at, 0)


def slice_ends(at: At) -> Rule | None:
    """Such ends that the declared sizes come out; the data's own where none are declared."""
    return _slice(at, 1)


def _slice(at: At, which: int) -> Rule | None:
    sizes, count = at.sizes(0), at.count
    if sizes is None or count is None:
        return None
    axes = _axes_of(at, 3, count, len(sizes))
    steps = at.integers(4) or [1] * count
    given = at.integers(1) if which else None
    declared = at.declared()
    if len(axes) != count or len(steps) != count:
        return None
    values = []
    for place, (axis, step) in enumerate(zip(axes, steps, strict=True)):
        size = sizes[axis]
        wanted = declared[axis] if declared is not None and len(declared) == len(sizes) else None
        start = given[place] if given else 0 if step > 0 else size - 1
        start = max(0, start + size if start < 0 else start)
        if which == 0:
            values.append(start)
        elif wanted is None:
            values.append(size if step > 0 else -size - 1)
        elif step > 0:
            values.append(start if wanted == 0 else min(size, start + (wanted - 1) * step + 1))
        else:
            end = start + wanted * step
            values.append(end if end >= 0 else -size - 1)
    return exactly(at, values)


def slice_steps(at: At) -> Rule | None:
    """Steps of 1."""
    return exactly(at, 1)


def pads(at: At) -> Rule | None:
    """What makes the declared sizes, half of it before and the rest after; else 0."""
    sizes, count = at.sizes(0), at.count
    if sizes is None or count is None:
        return None
    axes = _axes_of(at, 3, count // 2, len(sizes))
    declared = at.declared()
    if declared is None or len(declared) != len(sizes) or len(axes) != count // 2:
        return exactly(at, 0)
    more = [(declared[axis] or sizes[axis]) - sizes[axis] for axis in axes]
    return exactly(at, [*(size // 2 for size in more), *(size - size // 2 for size in more)])
