"""Where the values of a graph's input arrive: operator by operator, into the bodies of If, Loop and Scan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isobench.builds.constants import Constants, evaluate
from isobench.builds.graph_view import Consumer, GraphView, Scope
from isobench.record import record

if TYPE_CHECKING:
    import onnx

MOST_USES = 2_000

# Operators that pass the values of these inputs on: all, or some of them, perhaps in another place, repeated, or as
# another type. None: of all inputs.
PASSING: Mapping[str, tuple[int, ...] | None] = {
    "Cast": (0,),
    "CastLike": (0,),
    "Compress": (0,),
    "Concat": None,
    "ConcatFromSequence": (0,),
    "DepthToSpace": (0,),
    "Expand": (0,),
    "Flatten": (0,),
    "Gather": (0,),
    "GatherElements": (0,),
    "GatherND": (0,),
    "Identity": (0,),
    "Optional": (0,),
    "OptionalGetElement": (0,),
    "Pad": (0,),
    "ReduceMax": (0,),
    "ReduceMin": (0,),
    "Reshape": (0,),
    "ReverseSequence": (0,),
    "ScatterElements": (0, 2),
    "ScatterND": (0, 2),
    "SequenceAt": (0,),
    "SequenceConstruct": None,
    "SequenceInsert": (0, 1),
    "Slice": (0,),
    "SpaceToDepth": (0,),
    "Split": (0,),
    "SplitToSequence": (0,),
    "Squeeze": (0,),
    "Tile": (0,),
    "Transpose": (0,),
    "Trilu": (0,),
    "Unsqueeze": (0,),
    "Where": (1, 2),
}


@record(frozen=True, slots=True, kw_only=True)
class Use:
    """An operator that an input's values arrive at, by its input `slot`, having passed the operators of `path`.

    A value v of the input arrives as v + `shift`.
    """

    scope: Scope
    node: onnx.NodeProto
    slot: int
    path: tuple[Consumer, ...] = ()
    shift: float = 0

    @property
    def operator(self) -> str:
        """The operator and its node's name, or its output's: `Gather node_3`, `the Gather that computes y`."""
        if self.node.name:
            return f"{self.node.op_type} {self.node.name}"
        return f"the {self.node.op_type} that computes {next(filter(None, self.node.output), '?')}"

    @property
    def role(self) -> str:
        """What the operator calls this input, in words: `shape operand of Reshape node_7`."""
        return f"{self.operand} operand of {self.operator}"

    @property
    def operand(self) -> str:
        """The operator's own name of this input: `indices`; `input 2` where the operator isn't ONNX's."""
        import onnx

        try:
            schema = onnx.defs.get_schema(self.node.op_type, self.scope.opset(self.node.domain), self.node.domain)
        except onnx.defs.SchemaError:
            return f"input {self.slot}"
        inputs = schema.inputs
        return str(inputs[min(self.slot, len(inputs) - 1)].name) if inputs else f"input {self.slot}"


def uses_of(view: GraphView, name: str, constants: Constants) -> list[Use]:
    """Each operator that the values of the graph input `name` arrive at, in the order in which they are reached."""
    found: list[Use] = []
    waiting: list[tuple[Scope, str, tuple[Consumer, ...], float]] = [(view.main, name, (), 0)]
    seen = {(id(view.main), name)}
    while waiting and len(found) < MOST_USES:
        scope, value, path, shift = waiting.pop(0)
        for consumer in view.consumers_of(scope, value):
            found.append(Use(scope=consumer.scope, node=consumer.node, slot=consumer.slot, path=path, shift=shift))
            for target, passed, more in _onwards(view, consumer, value, constants):
                if (id(target), passed) not in seen:
                    seen.add((id(target), passed))
                    waiting.append((target, passed, (*path, consumer), shift + more))
        for target, passed in _returned(scope, value):
            if (id(target), passed) not in seen:
                seen.add((id(target), passed))
                waiting.append((target, passed, path, shift))
    return found


# Operators whose output doesn't depend on the values of their inputs.
SHAPE_ONLY = frozenset({"ConstantOfShape", "EyeLike", "Shape", "Size"})


def decision(view: GraphView, name: str) -> Use | None:
    """The If or Loop whose branch or count is computed from the values of the graph input `name`, if there is one."""
    waiting, seen = [(view.main, name)], {(id(view.main), name)}
    while waiting and view.bodies:
        scope, value = waiting.pop(0)
        reached = _returned(scope, value)
        for consumer in view.consumers_of(scope, value):
            node = consumer.node
            if (node.op_type == "If" and consumer.slot == 0) or (node.op_type == "Loop" and consumer.slot < 2):
                return Use(scope=consumer.scope, node=node, slot=consumer.slot)
            if node.op_type not in SHAPE_ONLY:
                reached += [(consumer.scope, output) for output in node.output if output]
                reached += [(body, inner) for body in view.bodies_of(node) for inner in body.bound]
        if scope.body_of is not None and scope.body_of.op_type == "Loop" and value == scope.graph.output[0].name:
            return Use(scope=scope, node=scope.body_of, slot=1)
        fresh = [entry for entry in dict.fromkeys(reached) if (id(entry[0]), entry[1]) not in seen]
        seen.update((id(target), passed) for target, passed in fresh)
        waiting += fresh
    return None


UNKNOWN = -(2**62)
"""Stands for an element of which only the place is known."""


def arrivals(use: Use, shape: tuple[int, ...], constants: Constants) -> tuple[Any, Any] | None:
    """For each element at `use`: the number of the input's element that it is (-1: none); its value if it's a constant.

    Two int64 arrays; `UNKNOWN` stands for values that aren't known. `shape` is the input's. None if it can't be traced.
    """
    import numpy as np

    numbers = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)
    places = _carried(use, numbers, constants, known=False)
    values = _carried(use, np.full(shape, UNKNOWN), constants, known=True)
    return None if places is None or values is None else (places, values)


def _carried(use: Use, array: Any, constants: Constants, *, known: bool) -> Any:
    """What `array`, of the input's shape, becomes along the path; other sources: their values if `known`, else -1."""
    for place, step in enumerate(use.path):
        if step.node.op_type in {"Cast", "CastLike", "Identity"}:
            continue
        inputs = {}
        for slot, name in enumerate(step.node.input):
            inputs[name] = array if slot == step.slot else _other(step, slot, constants, known=known)
        if step.node.op_type not in PASSING or any(name and value is None for name, value in inputs.items()):
            return None
        following = use.path[place + 1] if place + 1 < len(use.path) else use
        array = evaluate(step.node, step.scope, inputs).get(following.node.input[following.slot])
        if array is None:
            return None
    return array


def _other(step: Consumer, slot: int, constants: Constants, *, known: bool) -> Any:
    """Another input of an operator on the path: an operand's values; of other data, as `_carried` says."""
    import numpy as np

    name, slots = step.node.input[slot], PASSING.get(step.node.op_type, ())
    data = slots is None or slot in slots
    value = constants.value(step.scope, name) if name and (known or not data) else None
    shape = step.scope.shape(name) if name and data else None
    if value is None and shape is not None and None not in shape:
        return np.full([size or 0 for size in shape], UNKNOWN if known else -1)
    return value


def _onwards(view: GraphView, consumer: Consumer, value: str, constants: Constants) -> list[tuple[Scope, str, float]]:
    """The values that `consumer` passes `value` on to, and what it adds to it."""
    node, scope, slot = consumer.node, consumer.scope, consumer.slot
    for body in view.bodies_of(node):
        inner = [(body, name, 0.0) for name, outer in body.bound.items() if outer == value]
        if inner:
            return inner
    if node.domain not in {"", "ai.onnx"}:
        return []
    if node.op_type in PASSING:
        slots = PASSING[node.op_type]
        if slots is not None and slot not in slots:
            return []
        count = len(node.output) if node.op_type == "Split" else 1
        return [(scope, name, 0.0) for name in node.output[:count] if name]
    if node.op_type in {"Add", "Sub"} and len(node.input) == 2 and (node.op_type == "Add" or slot == 0):
        other = constants.value(scope, node.input[1 - slot]) if node.input[1 - slot] != value else None
        if other is not None and other.size == 1 and other.dtype.kind in "iuf":
            number = float(other.reshape(-1)[0])
            return [(scope, node.output[0], number if node.op_type == "Add" else -number)]
    return []


def _returned(scope: Scope, value: str) -> list[tuple[Scope, str]]:
    """The outputs of the node that runs this body, for a value that the body returns."""
    if scope.parent is None or scope.body_of is None:
        return []
    skipped = 1 if scope.body_of.op_type == "Loop" else 0  # a Loop's body returns the condition first
    outputs = scope.body_of.output
    places = [place - skipped for place, entry in enumerate(scope.graph.output) if entry.name == value]
    return [(scope.parent, outputs[place]) for place in places if 0 <= place < len(outputs) and outputs[place]]
