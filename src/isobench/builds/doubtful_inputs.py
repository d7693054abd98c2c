"""The message where a model can't be run with drawn values: which input is in doubt, what it means, how to give it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isobench.builds.drawing import Drawn
from isobench.builds.graph_view import read_by
from isobench.errors import IsobenchError, ModelError
from isobench.failures import Ending, Phase
from isobench.planning.models import Model

if TYPE_CHECKING:
    import onnx

MOST = 3

_NODE = re.compile(r"running (\S+) node\. Name:'([^']*)'")
PLAIN = "standard normal"


def explain(error: IsobenchError, drawn: Sequence[Drawn], model: Model, graph: onnx.GraphProto | None) -> IsobenchError:
    """The error of the reference evaluation, or, where drawn values may be its cause, one that says so.

    ONNX Runtime names the node in which it stopped: the inputs that arrive there are in doubt, then those that it is
    computed from, else all whose values have a meaning (which those of a standard normal distribution haven't).
    """
    if error.phase is not Phase.COMPUTING_EXPECTED or error.kind not in {Ending.MODEL_ERROR, Ending.CRASH}:
        return error
    meaningful = [one for one in drawn if one.rule != PLAIN]
    operator, node = (_NODE.findall(error.message) or [("", "")])[-1]  # the innermost node comes last
    doubtful = _at_node(operator, node, meaningful)
    before = _computed_from(operator, node, graph) if graph is not None else set()
    others = [one for one in meaningful if all(one is not other for other, _ in doubtful)]
    nearer = [one for one in others if one.tensor.name in before]
    doubtful += [(one, _role(one)) for one in nearer or ([] if doubtful else others)]
    given = _given(model)
    if not doubtful:
        error.hint = f"Check the values that were given: {given}" if given else error.hint
        return error
    listed = "; ".join(
        f"{one.tensor.name} (drawn: {one.rule}){f' is the {role}' if role else ''}" for one, role in doubtful[:MOST]
    )
    names = [one.tensor.name for one, _ in doubtful[:MOST]]
    fills = " ".join(f"--fill {shlex.quote(name)}=VALUE" for name in names)
    return ModelError(
        f"values that isobench drew may not be valid for the model: {listed}. {error.message}",
        hint=f"Give the right ones: {fills}, or --inputs FILE. "
        + (f"Check those that were given: {given}. " if given else "")
        + f"To edit what was drawn: {_save(model)}",
        details=error.details,
        kind=error.kind,
        phase=error.phase,
        cause=error.cause,
    )


def _at_node(operator: str, name: str, drawn: Sequence[Drawn]) -> list[tuple[Drawn, str]]:
    """The inputs whose values arrive at a node, and what they are there."""
    found = []
    for one in drawn:
        roles = [entry.role for entry in one.operands if entry.operator == operator and entry.node == name]
        found += [(one, roles[0])] if roles else []
    return found


def _computed_from(operator: str, name: str, graph: onnx.GraphProto) -> set[str]:
    """All values that the node, or the nodes of that operator if it has no name, is computed from."""
    producers = {output: node for node in graph.node for output in node.output}
    waiting = [read for node in graph.node if _contains(node, operator, name) for read in read_by(node)]
    found: set[str] = set()
    while waiting:
        value = waiting.pop()
        if value not in found:
            found.add(value)
            waiting += read_by(producers[value]) if value in producers else []
    return found


def _contains(node: onnx.NodeProto, operator: str, name: str) -> bool:
    """Whether this is the node, or runs it in a body of its own."""
    if node.op_type == operator and node.name == name:
        return True
    return any(_contains(inner, operator, name) for body in _bodies(node) for inner in body.node)


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [entry.g for entry in node.attribute if entry.HasField("g")]


def _role(one: Drawn) -> str:
    return one.operands[0].role if one.operands else ""


def _given(model: Model) -> str:
    """The options by which the user gave values; "" where there are none."""
    rules = [word for name, rule in model.fill.items() for word in ("--fill", f"{name}={rule}")]
    return shlex.join([*rules, *(word for path in model.inputs for word in ("--inputs", str(path)))])


def _save(model: Model) -> str:
    """The command that saves the drawn inputs, with the sizes that were given."""
    words = ["isobench", "inputs", str(model.path)]
    for name, size in model.dimensions.items():
        words += ["--dim", f"{name}={size}"]
    for name, shape in model.shapes.items():
        words += ["--shape", f"{name}={','.join(map(str, shape))}"]
    return shlex.join([*words, "-o", "inputs.npz"])
