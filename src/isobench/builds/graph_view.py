"""An ONNX graph with its input sizes fixed: scopes, shapes from inference, and who consumes which value.

The weights aren't needed, so a model with external data, or of more than 2 GB, is as good as any other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isobench.planning.models import TensorSpec

if TYPE_CHECKING:
    import onnx

KNOWN_ELEMENTS = 65_536
"""Tensors of up to so many elements keep their values; of larger ones only type and shape are kept."""

ROUNDS = 4
REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")

# Operators and those of their inputs whose values decide the shape of the output.
SHAPING: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("CenterCropPad", "ConstantOfShape"), (0, 1)),
    **dict.fromkeys(("Expand", "Reshape", "Split", "Squeeze", "Tile", "TopK", "Unsqueeze"), (1,)),
    **{f"Reduce{kind}": (1,) for kind in REDUCTIONS},
    "OneHot": (1,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Upsample": (1,),
}

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A node that reads a value, by its input `slot`."""

    scope: Scope
    node: onnx.NodeProto
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
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


def view(model: onnx.ModelProto, specs: Sequence[TensorSpec], known: Mapping[str, Any]) -> GraphView:
    """What is known of `model` when its inputs have the sizes `specs`, and some of them the values `known` (arrays).

    A failure of inference only means less knowledge.
    """
    slim = _with_sizes(_without_weights(model), {spec.name: spec.shape for spec in specs})
    _fix(slim.graph, known)
    found = _view(slim)
    for _ in range(ROUNDS):
        computed = _computed_operands(found)
        if not computed:
            break
        _fix(slim.graph, computed)
        found = _view(slim)
    return found


def _view(slim: onnx.ModelProto) -> GraphView:
    inferred = _inferred(slim)
    opsets = {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in inferred.opset_import}
    main = _scope(inferred.graph, opsets, None, None, {})
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


def _computed_operands(found: GraphView) -> dict[str, Any]:
    """Operands from which inference would learn shapes that it doesn't know, and that can be computed."""
    from isobench.builds.constants import Constants

    constants, computed = Constants(lambda _: None), {}
    for node in found.main.nodes:
        slots = SHAPING.get(node.op_type, ())
        shape = found.main.shape(node.output[0]) if node.output else None
        if not slots or (shape is not None and None not in shape):
            continue
        for slot in slots:
            name = node.input[slot] if slot < len(node.input) else ""
            producer = found.main.producers.get(name)
            if producer is not None and producer.op_type != "Constant":
                value = constants.value(found.main, name)
                if value is not None:
                    computed[name] = value
    return computed


def _fix(graph: onnx.GraphProto, values: Mapping[str, Any]) -> None:
    """Make the values constants: inputs, and outputs of nodes."""
    import onnx

    kept = [value for value in graph.input if value.name not in values]
    if len(kept) < len(graph.input):
        del graph.input[:]
        graph.input.extend(kept)
    for node in graph.node:
        for place, name in enumerate(node.output):
            if name in values:
                node.output[place] = f"{name} (computed)"
    present = {tensor.name for tensor in graph.initializer}
    for name, value in values.items():
        if name not in present:
            graph.initializer.append(onnx.numpy_helper.from_array(value, name))


def _scopes(scope: Scope, bodies: dict[int, list[Scope]]) -> Iterator[Scope]:
    """`scope` and all bodies within it; `bodies` is filled on the way."""
    yield scope
    for node in scope.nodes:
        for attribute in node.attribute:
            for graph in _graphs(attribute):
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


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which large tensors have type and shape, but no values; functions are inlined."""
    import onnx
    from onnx import inliner

    slim = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    slim.graph.CopyFrom(_slim(model.graph))
    if model.functions:
        slim.functions.extend(model.functions)
        with suppress(Exception):  # whatever is wrong with the functions, ONNX Runtime's message will say it better
            inlined: onnx.ModelProto = inliner.inline_local_functions(slim)
            return inlined
    return slim


def _slim(graph: onnx.GraphProto) -> onnx.GraphProto:
    import onnx

    slim = onnx.GraphProto(name=graph.name, input=graph.input, output=graph.output, value_info=graph.value_info)
    slim.initializer.extend(_slim_tensor(tensor) for tensor in graph.initializer)
    for node in graph.node:
        copy = slim.node.add(op_type=node.op_type, domain=node.domain, name=node.name)
        copy.input.extend(node.input)
        copy.output.extend(node.output)
        for attribute in node.attribute:
            copy.attribute.append(_slim_attribute(attribute))
    return slim


def _slim_attribute(attribute: onnx.AttributeProto) -> onnx.AttributeProto:
    import onnx

    kinds = onnx.AttributeProto
    if attribute.type == kinds.TENSOR:
        return kinds(name=attribute.name, type=kinds.TENSOR, t=_slim_tensor(attribute.t))
    if attribute.type == kinds.GRAPH:
        return kinds(name=attribute.name, type=kinds.GRAPH, g=_slim(attribute.g))
    return attribute


def _slim_tensor(tensor: onnx.TensorProto) -> onnx.TensorProto:
    import onnx

    if math.prod(tensor.dims) <= KNOWN_ELEMENTS and tensor.data_location != onnx.TensorProto.EXTERNAL:
        return tensor
    return onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)


def has_values(tensor: onnx.TensorProto) -> bool:
    """Whether the tensor's elements are there (and not in another file, or dropped for being many)."""
    small = math.prod(tensor.dims) <= KNOWN_ELEMENTS and tensor.data_location != tensor.EXTERNAL
    return small and tensor.data_type != tensor.UNDEFINED


def _with_sizes(model: onnx.ModelProto, shapes: Mapping[str, Shape]) -> onnx.ModelProto:
    """Fix the sizes of the inputs; the same names of sizes get the same numbers elsewhere in the main graph."""
    symbols: dict[str, int] = {}
    for value in model.graph.input:
        shape = shapes.get(value.name)
        if shape is None or value.type.WhichOneof("value") != "tensor_type":
            continue
        declared = value.type.tensor_type.shape.dim
        if len(declared) == len(shape):
            symbols |= {
                entry.dim_param: size
                for entry, size in zip(declared, shape, strict=True)
                if entry.dim_param and size is not None
            }
        del declared[:]
        value.type.tensor_type.shape.SetInParent()
        for size in shape:
            declared.add(dim_value=size)
    for value in (*model.graph.output, *model.graph.value_info):
        if value.type.WhichOneof("value") == "tensor_type":
            for entry in value.type.tensor_type.shape.dim:
                if entry.dim_param in symbols:
                    entry.dim_value = symbols[entry.dim_param]
    return model


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnx

    with suppress(Exception):  # any type that C++ raises
        return onnx.shape_inference.infer_shapes(model, check_type=False, strict_mode=False, data_prop=True)
    return model


def _graphs(attribute: Any) -> list[onnx.GraphProto]:
    return [attribute.g] if attribute.HasField("g") else list(attribute.graphs)
