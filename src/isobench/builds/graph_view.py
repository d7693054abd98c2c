"""An ONNX graph as scopes (the main graph, and the bodies of If, Loop and Scan), and who consumes which value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isobench.record import record

if TYPE_CHECKING:
    import onnx

KNOWN_ELEMENTS = 65_536
"""Tensors of up to so many elements keep their values; of larger ones only type and shape are kept."""


Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scope:
    """The main graph, or the body of an If, Loop or Scan.

    `body_of` is the node that runs this body, in `parent`. `bound` has, for the body's inputs that start with a value
    of `parent`, that value's name. `shapes` has what is declared or inferred; `tensors` the initializers.
    """

    graph: onnx.GraphProto
    nodes: Sequence[onnx.NodeProto]
    opsets: Mapping[str, int]
    parent: Scope | None = None
    body_of: onnx.NodeProto | None = None
    bound: Mapping[str, str] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    tensors: dict[str, onnx.TensorProto] = field(default_factory=dict)
    producers: dict[str, onnx.NodeProto] = field(default_factory=dict)
    inputs: set[str] = field(default_factory=set)

    def home(self, name: str) -> Scope | None:
        """The scope, this one or one around it, that `name` is defined in."""
        scope: Scope | None = self
        while scope is not None and not (name in scope.producers or name in scope.tensors or name in scope.inputs):
            scope = scope.parent
        return scope

    def shape(self, name: str) -> Shape | None:
        """The shape of a value; None for a dynamic size, or instead of a shape of unknown rank."""
        home = self.home(name)
        return home.shapes.get(name) if home is not None else None

    def element_type(self, name: str) -> int:
        """The element type of a value, by ONNX's number; 0 if it is unknown."""
        home = self.home(name)
        return home.types.get(name, 0) if home is not None else 0

    def opset(self, domain: str) -> int:
        """The version of the operators of a domain that the model uses; 0 if it doesn't say."""
        return self.opsets.get("" if domain == "ai.onnx" else domain, 0)


@record(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A node that reads a value, by its input `slot`."""

    scope: Scope
    node: onnx.NodeProto
    slot: int


@record(frozen=True, slots=True, kw_only=True)
class GraphView:
    """The main graph, the bodies of each node, and the consumers of each value (by its scope and name)."""

    main: Scope
    bodies: Mapping[int, Sequence[Scope]]
    consumers: Mapping[tuple[int, str], Sequence[Consumer]]

    def bodies_of(self, node: onnx.NodeProto) -> Sequence[Scope]:
        """The scopes of the graphs that `node` runs."""
        return self.bodies.get(id(node), ())

    def consumers_of(self, scope: Scope, name: str) -> Sequence[Consumer]:
        """The nodes that read the value `name` of `scope`, in the order of the file."""
        return self.consumers.get((id(scope), name), ())


def of_model(model: onnx.ModelProto) -> GraphView:
    """The scopes of a model as they are declared, and the consumers of their values."""
    opsets = {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in model.opset_import}
    main = _scope(model.graph, opsets, None, None, {})
    bodies: dict[int, list[Scope]] = {}
    consumers: dict[tuple[int, str], list[Consumer]] = {}
    for scope in _scopes(main, bodies):
        for node in scope.nodes:
            for slot, name in enumerate(node.input):
                home = scope.home(name) if name else None
                if home is not None:
                    entry = Consumer(scope=scope, node=node, slot=slot)
                    consumers.setdefault((id(home), name), []).append(entry)
    return GraphView(main=main, bodies=bodies, consumers=consumers)


def _scopes(scope: Scope, bodies: dict[int, list[Scope]]) -> Iterator[Scope]:
    """`scope` and all bodies within it; `bodies` is filled on the way."""
    yield scope
    for node in scope.nodes:
        for attribute in node.attribute:
            for graph in bodies_in(attribute):
                body = _scope(graph, scope.opsets, scope, node, dict(_bindings(node, graph, scope.opset(""))))
                bodies.setdefault(id(node), []).append(body)
                yield from _scopes(body, bodies)


def _scope(
    graph: onnx.GraphProto,
    opsets: Mapping[str, int],
    parent: Scope | None,
    body_of: onnx.NodeProto | None,
    bound: Mapping[str, str],
) -> Scope:
    nodes = tuple(graph.node)
    scope = Scope(graph=graph, nodes=nodes, opsets=opsets, parent=parent, body_of=body_of, bound=bound)
    for value in (*graph.value_info, *graph.input, *graph.output):
        kind = value.type.WhichOneof("value")
        if kind == "tensor_type":
            scope.types[value.name] = value.type.tensor_type.elem_type
            if value.type.tensor_type.HasField("shape"):
                scope.shapes[value.name] = tuple(
                    entry.dim_value if entry.HasField("dim_value") else None
                    for entry in value.type.tensor_type.shape.dim
                )
    for tensor in graph.initializer:
        scope.tensors[tensor.name] = tensor
        scope.shapes[tensor.name] = tuple(tensor.dims)
        scope.types[tensor.name] = tensor.data_type
    scope.inputs.update(value.name for value in graph.input)
    for node in scope.nodes:
        scope.producers.update((name, node) for name in node.output if name)
    return scope


def _bindings(node: onnx.NodeProto, graph: onnx.GraphProto, opset: int) -> Iterator[tuple[str, str]]:
    """The inputs of a body that start with (or are slices of) an input of its node."""
    if node.op_type == "Loop":  # the body's first inputs are the number of the iteration and the condition
        pairs = list(zip([value.name for value in graph.input], node.input, strict=False))[1:]
    elif node.op_type == "Scan":
        pairs = list(zip([value.name for value in graph.input], node.input[0 if opset >= 9 else 1 :], strict=False))
    else:
        pairs = []
    yield from ((inner, name) for inner, name in pairs if name)


def has_values(tensor: onnx.TensorProto) -> bool:
    """Whether the tensor's elements are there (and not in another file, or dropped for being many)."""
    small = math.prod(tensor.dims) <= KNOWN_ELEMENTS and tensor.data_location != tensor.EXTERNAL
    return small and tensor.data_type != tensor.UNDEFINED


def read_by(node: onnx.NodeProto) -> list[str]:
    """The values that a node reads, those that its bodies read included."""
    bodies = [body for attribute in node.attribute for body in bodies_in(attribute)]
    return [*node.input, *(name for body in bodies for inner in body.node for name in read_by(inner))]


def bodies_in(attribute: Any) -> list[onnx.GraphProto]:
    found: list[onnx.GraphProto] = [attribute.g] if attribute.HasField("g") else list(attribute.graphs)
    return found
