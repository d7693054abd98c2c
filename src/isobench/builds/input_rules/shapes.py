"""Operands that are sizes: chosen so that the output gets the shape that is declared, or keeps that of the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from isobench.builds.graph_view import Shape
from isobench.builds.input_rules.base import At, Rule, exactly


def reshape(at: At) -> Rule | None:
    """The target of Reshape: the declared shape, else the data's own as far as the ranks allow."""
    sizes, fixed = at.sizes(0), at.fixed()
    if sizes is None or at.count is None:
        return None
    declared = at.declared()
    if declared is not None and None not in declared and _agrees(declared, fixed, at):
        return exactly(at, [size or 0 for size in declared])
    target = _with_product(_merged(fixed, declared), sizes)
    return exactly(at, target or _with_product(fixed, sizes) or _of_rank(sizes, len(fixed)))


def _agrees(declared: Shape, fixed: Sequence[int | None], at: At) -> bool:
    """Whether the declared shape can be given as it is: it holds the data, and 0 means 0."""
    sizes = at.sizes(0) or ()
    whole = math.prod(size or 0 for size in declared) == math.prod(sizes)
    free = len(declared) == len(fixed) and all(entry is None for entry in fixed)
    zeros = all(size != 0 or (k < len(sizes) and sizes[k] == 0) for k, size in enumerate(declared))
    return whole and free and bool(zeros or at.attribute("allowzero", 0))


def _merged(fixed: Sequence[int | None], declared: Shape | None) -> list[int | None]:
    if declared is None or len(declared) != len(fixed):
        return list(fixed)
    return [other if entry is None else entry for entry, other in zip(fixed, declared, strict=True)]


def _with_product(target: Sequence[int | None], sizes: Sequence[int]) -> list[int] | None:
    """`target` with its open sizes filled, so that it holds as many elements as `sizes`; None if that can't be."""
    target = [sizes[k] if entry == 0 and k < len(sizes) else entry for k, entry in enumerate(target)]
    total, known = math.prod(sizes), math.prod(entry for entry in target if entry not in {None, -1})
    free = [k for k, entry in enumerate(target) if entry in {None, -1}]
    if not free:
        return [entry or 0 for entry in target] if known == total else None
    if known == 0 or total % known:
        return None
    filled = [1 if entry in {None, -1} else entry or 0 for entry in target]
    own = [sizes[k] for k in free] if len(sizes) == len(target) else []
    if own and math.prod(own) == total // known:
        for k, size in zip(free, own, strict=True):
            filled[k] = size
    else:
        filled[free[-1]] = total // known
    return filled


def _of_rank(sizes: Sequence[int], rank: int) -> list[int]:
    """The sizes with as many dimensions as required: the last ones joined, or ones appended."""
    if rank >= len(sizes):
        return [*sizes, *[1] * (rank - len(sizes))]
    return [*sizes[: rank - 1], math.prod(sizes[rank - 1 :])] if rank else []


def expand(at: At) -> Rule | None:
    """The target of Expand: the declared shape, else the data's own."""
    sizes, count, declared = at.sizes(0), at.count, at.declared()
    if sizes is None or count is None:
        return None
    own = [*[1] * (count - len(sizes)), *sizes[max(0, len(sizes) - count) :]]
    if declared is not None and len(declared) >= count:
        last = declared[len(declared) - count :]
        own = [other if size == 1 and other is not None else size for size, other in zip(own, last, strict=True)]
    return exactly(at, [size if entry is None else entry for size, entry in zip(own, at.fixed(), strict=True)])


def sizes_of_output(default: int) -> Any:
    """The shape of the output: as declared; `default` where a size isn't."""

    def rule(at: At) -> Rule | None:
        declared = at.declared()
        if at.count is None:
            return None
        if declared is None or len(declared) != at.count:
            declared = (None,) * at.count
        return exactly(at, [default if size is None else size for size in declared])

    return rule


def tile(at: At) -> Rule | None:
    """Repeats: what makes the declared shape, else 1; never 0, which would leave nothing to compute."""
    sizes, declared, count = at.sizes(0), at.declared(), at.count
    if sizes is None or count != len(sizes):
        return exactly(at, 1)
    if declared is None or len(declared) != count:
        return exactly(at, [1] * count)
    return exactly(
        at,
        [other // size if other and size else 1 for size, other in zip(sizes, declared, strict=True)],
    )


def crop_or_pad(at: At) -> Rule | None:
    """CenterCropPad's shape, for some axes or all."""
    sizes, count = at.sizes(0), at.count
    if sizes is None or count is None:
        return None
    axes = _axes(at.attribute("axes"), len(sizes), count)
    return exactly(at, _declared_at(at, axes, sizes))


def _axes(given: Sequence[int] | None, rank: int, count: int) -> list[int]:
    return [int(axis) % max(rank, 1) for axis in (range(count) if given is None else given)]


def _declared_at(at: At, axes: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """The declared size of the output at each of the axes, the data's where none is declared."""
    declared = at.declared()
    if declared is None or len(declared) != len(sizes):
        declared = tuple(sizes)
    return [sizes[axis] if (size := declared[axis]) is None else size for axis in axes]


def resize_sizes(at: At) -> Rule | None:
    """Sizes for Resize: the declared ones, else the data's."""
    return crop_or_pad(at) if at.count else exactly(at, [])


def resize_scales(at: At) -> Rule | None:
    """Scales for Resize and Upsample: what makes the declared sizes, else 1."""
    sizes, count = at.sizes(0), at.count
    if sizes is None or not count:
        return exactly(at, []) if count == 0 else None
    axes = _axes(at.attribute("axes"), len(sizes), count)
    wanted = _declared_at(at, axes, sizes)
    least = 1.0 if at.node.op_type == "Upsample" else 0.0
    return exactly(at, [max(least, _scale(sizes[axis], size)) for axis, size in zip(axes, wanted, strict=True)])


def _scale(size: int, wanted: int) -> float:
    """A scale that makes `size`, rounded down, exactly `wanted`, whether it's computed in float32 or float64."""
    import numpy as np

    if size == 0 or wanted == 0:
        return 1.0
    scale = np.float32(wanted / size)
    while min(int(np.float32(size) * scale), int(size * float(scale))) < wanted:
        scale = np.nextafter(scale, np.float32(np.inf))
    return float(scale)


def resize_roi(at: At) -> Rule | None:
    """The region of interest of Resize: all of the data."""
    count = at.count or 0
    return exactly(at, [0.0] * (count // 2) + [1.0] * (count - count // 2))


def affine_grid(at: At) -> Rule | None:
    """AffineGrid's size: N of theta, one channel, the declared height and width."""
    theta, declared, count = at.sizes(0), at.declared() or (), at.count
    if theta is None or count is None:
        return None
    spatial = [size or 4 for size in declared[1:-1]] or [4] * (count - 2)
    return exactly(at, [theta[0], 1, *spatial])


def split(at: At) -> Rule | None:
    """Sizes that sum to the axis: those of the declared outputs, else as equal as possible."""
    sizes, count = at.sizes(0), at.count
    if sizes is None or not count or not sizes:
        return None
    axis = at.axis(len(sizes))
    outputs = [at.declared(k) for k in range(len(at.node.output))] if at.node.op_type == "Split" else []
    parts = [shape[axis] if shape is not None and len(shape) == len(sizes) else None for shape in outputs]
    if len(parts) == count and sum(part or 0 for part in parts) == sizes[axis] and None not in parts:
        return exactly(at, [part or 0 for part in parts])
    if not at.sizes():  # a single number is the size of each part
        return exactly(at, max(1, -(-sizes[axis] // 2)))
    return exactly(at, [sizes[axis] // count + (k < sizes[axis] % count) for k in range(count)])


def range_start(at: At) -> Rule | None:
    """0."""
    return exactly(at, 0)


def range_limit(at: At) -> Rule | None:
    """What makes as many values as declared (10 if it isn't declared), from 0 in steps of 1."""
    start, delta, declared = at.integers(0) or [0], at.integers(2) or [1], at.declared()
    count = declared[0] if declared and declared[0] is not None else 10
    return exactly(at, start[0] + count * delta[0])


def range_delta(at: At) -> Rule | None:
    """1."""
    return exactly(at, 1)


def top_k(at: At) -> Rule | None:
    """As many as declared; 5, or all of fewer, where that isn't declared."""
    sizes, declared = at.sizes(0), at.declared()
    if not sizes:
        return exactly(at, 1)
    axis = at.axis(len(sizes), default=-1)
    size = declared[axis] if declared is not None and len(declared) == len(sizes) else None
    return exactly(at, min(5, sizes[axis]) if size is None else min(size, sizes[axis]))


def compress(at: At) -> Rule | None:
    """As many true values as the output is declared to have; all true where it isn't."""
    sizes, declared, count = at.sizes(0), at.declared(), at.count
    if sizes is None or count is None:
        return None
    axis = at.attribute("axis")
    place = 0 if axis is None else int(axis)
    size = declared[place] if declared is not None and -len(declared) <= place < len(declared) else None
    return exactly(at, [k < (count if size is None else size) for k in range(count)])


def max_unpool(at: At) -> Rule | None:
    """MaxUnpool's output shape: as declared, else as its kernel and strides give it."""
    shape = unpooled(at)
    return None if shape is None else exactly(at, shape)


def unpooled(at: At) -> list[int] | None:
    """The shape of MaxUnpool's output."""
    sizes, declared = at.sizes(0), at.declared()
    if sizes is None:
        return None
    if declared is not None and len(declared) == len(sizes) and None not in declared:
        return [size or 0 for size in declared]
    kernel = at.attribute("kernel_shape", [1] * (len(sizes) - 2))
    strides, pads = at.attribute("strides", [1] * len(kernel)), at.attribute("pads", [0] * 2 * len(kernel))
    spatial = [
        (size - 1) * strides[k] + kernel[k] - pads[k] - pads[k + len(kernel)] for k, size in enumerate(sizes[2:])
    ]
    return [*sizes[:2], *spatial]


def col2im_image(at: At) -> Rule | None:
    """The image that the columns of Col2Im are put together to."""
    found = _col2im(at)
    return None if found is None else exactly(at, found[0])


def col2im_block(at: At) -> Rule | None:
    """The block that each column of Col2Im is."""
    found = _col2im(at)
    return None if found is None else exactly(at, found[1])


def _col2im(at: At) -> tuple[list[int], list[int]] | None:
    """Image and block that agree with the columns, (N, C * block, L), and with the declared output."""
    sizes, declared, rank = at.sizes(0), at.declared(), at.count
    if sizes is None or len(sizes) != 3 or not rank:
        return None
    strides = at.attribute("strides", [1] * rank)
    dilations, pads = at.attribute("dilations", [1] * rank), at.attribute("pads", [0] * 2 * rank)
    image = [size or 0 for size in declared[2:]] if declared and None not in declared else []
    channels = declared[1] or 1 if declared and len(declared) > 1 and declared[1] else 1
    if len(image) == rank and sizes[1] % channels == 0:
        for block in _factorisations(sizes[1] // channels, rank):
            spans = [dilations[k] * (block[k] - 1) + 1 for k in range(rank)]
            steps = [(image[k] + pads[k] + pads[k + rank] - spans[k]) // strides[k] + 1 for k in range(rank)]
            if min(steps) > 0 and math.prod(steps) == sizes[2]:
                return image, block
    for steps in _factorisations(sizes[2], rank):
        image = [(steps[k] - 1) * strides[k] + 1 - pads[k] - pads[k + rank] for k in range(rank)]
        if min(image) > 0:
            return image, [1] * rank
    return None


def _factorisations(number: int, count: int) -> list[list[int]]:
    if count == 1:
        return [[number]]
    return [
        [first, *rest]
        for first in range(1, number + 1)
        if number % first == 0
        for rest in _factorisations(number // first, count - 1)
    ]


def loop_count(at: At) -> Rule | None:
    """As many iterations as the outputs that are put together from them are declared to have; else 2."""
    carried = len(at.node.input) - 2
    counts = [shape[0] for k in range(carried, len(at.node.output)) if (shape := at.declared(k))]
    return exactly(at, next((count for count in counts if count), 2), "iterations")
