"""An ONNX model with its input sizes fixed, and what shape inference learns from them.

The weights aren't needed, so a model with external data, or of more than 2 GB, is as good as any other.
"""

from __future__ import annotations

import graphlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isobench.builds import graph_view
from isobench.builds.constants import Constants
from isobench.builds.graph_view import KNOWN_ELEMENTS, GraphView, Scope, Shape, bodies_in
from isobench.planning.models import TensorSpec
from isobench.system import forked

if TYPE_CHECKING:
    import onnx

ROUNDS = 4
INFERENCE_TIMEOUT_S = 60
INFERENCE_BYTES = 1 << 30
"""Memory for inference, and for each byte of the model, which has no weights, another thirty."""
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


def view(model: onnx.ModelProto, specs: Sequence[TensorSpec], known: Mapping[str, Any]) -> GraphView:
    """What is known of `model` when its inputs have the sizes `specs`, and some of them the values `known` (arrays).

    A failure of inference only means less knowledge.
    """
    slim = _with_sizes(_without_weights(model), {spec.name: spec.shape for spec in specs})
    _fix(slim.graph, known)
    found = graph_view.of_model(_inferred(slim))
    for _ in range(ROUNDS):
        computed = _computed_operands(found)
        if not computed:
            break
        _fix(slim.graph, computed)
        found = graph_view.of_model(_inferred(slim))
    return found


def _computed_operands(found: GraphView) -> dict[str, Any]:
    """Operands from which inference would learn shapes that it doesn't know, and that can be computed."""
    import numpy as np

    constants = Constants(lambda _: None)
    computed: dict[str, Any] = {}
    ambiguous: set[str] = set()  # two branches may use one name
    for scope in (found.main, *(body for bodies in found.bodies.values() for body in bodies)):
        for name in _shaping(scope):
            producer = scope.producers.get(name)
            if producer is not None and producer.op_type != "Constant":
                value = constants.value(scope, name)
                if value is not None:
                    if name in computed and not np.array_equal(computed[name], value):
                        ambiguous.add(name)
                    computed[name] = value
    return {name: value for name, value in computed.items() if name not in ambiguous}


def _shaping(scope: Scope) -> Iterator[str]:
    """The operands that decide shapes which aren't known."""
    for node in scope.nodes:
        shape = scope.shape(node.output[0]) if node.output else None
        if shape is None or None in shape:
            yield from (node.input[slot] for slot in SHAPING.get(node.op_type, ()) if slot < len(node.input))


def _fix(graph: onnx.GraphProto, values: Mapping[str, Any]) -> None:
    """Make the values constants: inputs, and outputs of nodes (those of bodies in their own graph)."""
    import onnx

    fixed = {value.name for value in graph.input} & set(values)
    kept = [value for value in graph.input if value.name not in fixed]
    if fixed:
        del graph.input[:]
        graph.input.extend(kept)
    for node in graph.node:
        for place, name in enumerate(node.output):
            if name in values:
                node.output[place] = f"{name} (computed)"
                fixed.add(name)
        for attribute in node.attribute:
            for body in bodies_in(attribute):
                _fix(body, values)
    present = {tensor.name for tensor in graph.initializer}
    for name in fixed - present:
        graph.initializer.append(onnx.numpy_helper.from_array(values[name], name))


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which large tensors have type and shape, but no values; functions are inlined."""
    import onnx
    from onnx import inliner

    slim = onnx.ModelProto(ir_version=model.ir_version)
    slim.graph.CopyFrom(_slim(model.graph))
    versions = {_domain(entry.domain): entry.version for entry in model.opset_import}
    newest = {"": onnx.defs.onnx_opset_version()}
    missing = {domain: newest.get(domain, 1) for domain in sorted(_domains(slim.graph) - set(versions))}
    slim.opset_import.extend(onnx.helper.make_opsetid(*entry) for entry in {**missing, **versions}.items())
    if model.functions:
        slim.functions.extend(model.functions)
        # Whatever is wrong with the functions, ONNX Runtime's message will say it better.
        return _computed(slim, inliner.inline_local_functions)
    return slim


def _slim(graph: onnx.GraphProto) -> onnx.GraphProto:
    import onnx

    slim = onnx.GraphProto(name=graph.name, input=graph.input, output=graph.output, value_info=graph.value_info)
    slim.initializer.extend(_slim_tensor(tensor) for tensor in graph.initializer)
    for node in _in_order(graph):
        copy = slim.node.add(op_type=node.op_type, domain=_domain(node.domain), name=node.name)
        copy.input.extend(node.input)
        copy.output.extend(node.output)
        for attribute in node.attribute:
            copy.attribute.append(_slim_attribute(attribute))
    return slim


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _domains(graph: onnx.GraphProto) -> set[str]:
    """The domains of all operators: inference fails where a model doesn't import one of them."""
    inner = [body for node in graph.node for attribute in node.attribute for body in bodies_in(attribute)]
    return {node.domain for node in graph.node}.union(*map(_domains, inner))


def _in_order(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes in an order in which they can run, as inference requires it: the file's own, if it is one."""
    nodes = list(graph.node)
    producers = {output: place for place, node in enumerate(nodes) for output in node.output if output}
    before = [{producers[name] for name in graph_view.read_by(node) if name in producers} for node in nodes]
    if all(max(places, default=-1) < place for place, places in enumerate(before)):
        return nodes
    try:
        return [nodes[place] for place in graphlib.TopologicalSorter(dict(enumerate(before))).static_order()]
    except graphlib.CycleError:
        return nodes


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
    from onnx import shape_inference

    return _computed(
        model,
        lambda given: shape_inference.infer_shapes(given, check_type=False, strict_mode=False, data_prop=True),
    )


def _computed(model: onnx.ModelProto, function: Callable[[onnx.ModelProto], onnx.ModelProto]) -> onnx.ModelProto:
    """What a function of onnx's C++ library makes of the model; the model itself where it fails, or crashes."""
    data = forked.compute(
        lambda: function(model).SerializeToString(),
        timeout_s=INFERENCE_TIMEOUT_S,
        memory_bytes=INFERENCE_BYTES + 30 * model.ByteSize(),
    )
    return model if data is None else type(model).FromString(data)
