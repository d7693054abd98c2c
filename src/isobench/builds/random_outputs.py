"""Which outputs of an ONNX file depend on random numbers.

A seed in the file doesn't make them comparable: each runtime has a generator of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

    from isobench.workers.protocol import Tensor

DRAWING = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
"""Operators that draw random numbers; Dropout does where its third operand is true."""


def find(model: onnx.ModelProto, inputs: Iterable[Tensor]) -> set[str]:
    """The names of the outputs that depend on random numbers, with these values of the inputs."""
    functions = {(one.domain, one.name): one.node for one in model.functions}
    return _depending(model.graph, functions, _true(model.graph, inputs))


def _depending(
    graph: onnx.GraphProto, functions: Mapping[tuple[str, str], Iterable[onnx.NodeProto]], true: set[str]
) -> set[str]:
    reached: set[str] = set()
    for node in graph.node:  # in the order in which they run
        if _draws(node, functions, true) or not reached.isdisjoint(_used(node)):
            reached.update(node.output)
    return {output.name for output in graph.output if output.name in reached}


def _draws(node: onnx.NodeProto, functions: Mapping[tuple[str, str], Iterable[onnx.NodeProto]], true: set[str]) -> bool:
    """Does the node draw random numbers, or one inside of it?"""
    if node.op_type in DRAWING:
        return True
    if node.op_type == "Dropout":
        return len(node.input) > 2 and node.input[2] in true
    inner = [*functions.get((node.domain, node.op_type), ()), *_inner(node)]
    return any(_draws(one, functions, true) for one in inner)


def _used(node: onnx.NodeProto) -> Iterator[str]:
    """The values that a node reads, in its subgraphs, too."""
    yield from node.input
    for one in _inner(node):
        yield from _used(one)


def _inner(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a node's subgraphs."""
    for attribute in node.attribute:
        for subgraph in (attribute.g, *attribute.graphs):
            yield from subgraph.node


def _true(graph: onnx.GraphProto, inputs: Iterable[Tensor]) -> set[str]:
    """The names of the switches that are on: inputs, initializers and constants whose bytes aren't all zero."""
    values = {one.name: one.data for one in inputs if one.dtype == "bool"}
    for tensor in graph.initializer:
        if tensor.data_type == tensor.BOOL and tensor.name not in values:
            values[tensor.name] = tensor.raw_data or bytes(tensor.int32_data)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            tensor = node.attribute[0].t
            if tensor.data_type == tensor.BOOL:
                values[node.output[0]] = tensor.raw_data or bytes(tensor.int32_data)
    return {name for name, data in values.items() if any(data)}
