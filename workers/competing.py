"""The values that compete for an index: what ArgMax, ArgMin, TopK and NonMaxSuppression choose from.

Where two values are nearly equal, another order of summation makes the other one win. The host sees that by the values
of both. They are tensors of the outputs' names, of the shape [outer, competitors, inner]: the axis of the choice is the
middle one, and the output has [outer, chosen, inner] indices. Those of rows of indices, as NonMaxSuppression returns
them, are named OUTPUT:rows and have the axes that a row indexes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import onnx_weights
import protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

KEEPING = {"Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten"}
"""Operators that keep the elements and their order."""
LARGEST_BYTES = 64 << 20
"""More values aren't stored."""
LARGEST_FILE_BYTES = 512 << 20
"""A larger file isn't loaded a second time."""


class Choice(NamedTuple):
    """An output whose elements are indices, the value that they index, and the axis; None: rows index all axes."""

    output: str
    values: str
    axis: int | None


def choices(contents: onnx_weights.Contents) -> list[Choice]:
    """The outputs of an ONNX file that are indices of the best values."""
    found = (_choice(name, contents) for name in contents.outputs)
    return [choice for choice in found if choice is not None]


def values(
    onnx_file: str,
    found: Sequence[Choice],
    known: Mapping[str, protocol.Tensor],
    run: Callable[[bytes], list[protocol.Tensor]],
) -> list[protocol.Tensor]:
    """The competing values; `known` are inputs and outputs, `run` evaluates a model that returns further values."""
    hidden = sorted({choice.values for choice in found if choice.values not in known})
    named = dict(known)
    if hidden and os.path.getsize(onnx_file) <= LARGEST_FILE_BYTES:
        with open(onnx_file, "rb") as file:
            returned = run(onnx_weights.with_outputs(file.read(), hidden))
        named |= {tensor.name: tensor for tensor in returned}
    made = [
        named[choice.values]._replace(name=f"{choice.output}:rows")
        if choice.axis is None
        else arranged(choice.output, named[choice.values], choice.axis)
        for choice in found
        if choice.values in named
    ]
    return made if sum(len(tensor.data) for tensor in made) <= LARGEST_BYTES else []


def arranged(output: str, tensor: protocol.Tensor, axis: int) -> protocol.Tensor:
    """The values as [outer, competitors, inner]."""
    axis %= max(1, len(tensor.shape))
    outer, inner = math.prod(tensor.shape[:axis]), math.prod(tensor.shape[axis + 1 :])
    competitors = tensor.shape[axis] if tensor.shape else 1
    return tensor._replace(name=output, shape=(outer, competitors, inner))


def _choice(output: str, contents: onnx_weights.Contents) -> Choice | None:
    name = output
    for _ in range(100):
        node = contents.producers.get(name)
        if node is None or not node.inputs:
            return None
        if node.operator in {"ArgMax", "ArgMin"}:
            return Choice(output, node.inputs[0], node.axis or 0)
        if node.operator == "TopK" and node.outputs[1:2] == [name]:
            return Choice(output, node.inputs[0], -1 if node.axis is None else node.axis)
        if node.operator == "NonMaxSuppression" and len(node.inputs) > 1:
            return Choice(output, node.inputs[1], None)
        if node.operator not in KEEPING:
            return None
        name = node.inputs[0]
    return None
