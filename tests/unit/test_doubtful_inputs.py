from __future__ import annotations

from pathlib import Path

import pytest
from onnx import parser

from isobench.builds.doubtful_inputs import explain
from isobench.builds.drawing import Drawn, Operand
from isobench.errors import ModelError, WorkerError
from isobench.failures import Ending, Phase
from isobench.planning.models import Model
from isobench.workers.protocol import Tensor

MODEL = Model(path=Path("my model.onnx"), dimensions={"batch": 8}, shapes={"x": (2, 3)})
STOPPED = "ONNX Runtime can't run the model with these inputs: Non-zero status code returned while running "


def drawn(name: str, rule: str, operator: str, node: str) -> Drawn:
    operand = Operand(role=f"shape operand of {operator} {node}", operator=operator, node=node)
    return Drawn(tensor=Tensor(name, "int64", (1,), bytes(8)), rule=rule, operands=(operand,))


SHAPE = drawn("new shape", "2, 6 (shape of Reshape node_7)", "Reshape", "node_7")
OTHER = drawn("k", "5", "TopK", "node_9")
DATA = drawn("x", "standard normal", "Reshape", "node_7")


def error(message: str, phase: Phase = Phase.COMPUTING_EXPECTED) -> ModelError:
    return ModelError(message, hint="Check them.", phase=phase)


def test_the_input_of_the_node_that_stopped_is_in_doubt() -> None:
    found = explain(
        error(f"{STOPPED}Reshape node. Name:'node_7' Status Message: no"), [DATA, SHAPE, OTHER], MODEL, None
    )
    assert found.message == (
        "values that isobench drew may not be valid for the model: new shape (drawn: 2, 6 (shape of Reshape node_7)) "
        f"is the shape operand of Reshape node_7. {STOPPED}Reshape node. Name:'node_7' Status Message: no"
    )
    assert found.hint == (
        "Give the right ones: --fill 'new shape'=VALUE, or --inputs FILE. To edit what was drawn: "
        "isobench inputs 'my model.onnx' --dim batch=8 --shape x=2,3 -o inputs.npz"
    )


def test_the_innermost_node_counts() -> None:
    nested = f"{STOPPED}If node. Name:'if_1' Status Message: while running TopK node. Name:'node_9' Status Message: no"
    assert "k (drawn: 5)" in explain(error(nested), [SHAPE, OTHER], MODEL, None).message


def test_where_no_input_arrives_all_with_a_meaning_are_in_doubt() -> None:
    message = explain(
        error(f"{STOPPED}Add node. Name:'a' Status Message: no"), [DATA, SHAPE, OTHER], MODEL, None
    ).message
    assert "new shape (drawn" in message
    assert "k (drawn" in message
    assert "x (drawn" not in message


@pytest.mark.parametrize("phase", [Phase.LOADING, Phase.IMPORTING])
def test_a_model_that_does_not_load_is_no_matter_of_values(phase: Phase) -> None:
    original = error("ONNX Runtime can't load the model", phase)
    assert explain(original, [SHAPE], MODEL, None) is original


def test_time_and_memory_are_no_matter_of_values() -> None:
    original = WorkerError("took too long", kind=Ending.TIMEOUT, phase=Phase.COMPUTING_EXPECTED)
    assert explain(original, [SHAPE], MODEL, None) is original


def test_values_without_a_meaning_are_not_in_doubt() -> None:
    original = error(f"{STOPPED}Add node. Name:'a' Status Message: no")
    assert explain(original, [DATA], MODEL, None) is original
    assert explain(original, [], MODEL, None) is original


def test_inputs_that_the_node_is_computed_from_come_after_those_that_arrive_there() -> None:
    graph = parser.parse_graph("""g (int64[1] k, int64[1] n, int64[1] other) => (int64[1] y, int64[1] z) {
        m = Sub(n, n)
        y = Div(k, m)
        z = Neg(other) }""")
    inputs = [drawn("other", "1", "Neg", ""), drawn("n", "2", "Sub", ""), drawn("k", "3", "Div", "")]
    found = explain(error(f"{STOPPED}Div node. Name:'' Status Message: division by zero"), inputs, MODEL, graph)
    assert "k (drawn: 3) is the shape operand of Div ; n (drawn: 2) is the shape operand of Sub ." in found.message
    assert "other" not in found.message


def test_values_that_were_given_are_in_doubt_as_well() -> None:
    model = Model(path=Path("m.onnx"), fill={"d": "0"}, inputs=(Path("my x.npz"),))
    alone = explain(error(f"{STOPPED}Div node. Name:'' Status Message: no"), [], model, None)
    assert alone.hint == "Check the values that were given: --fill d=0 --inputs 'my x.npz'"
    both = explain(error(f"{STOPPED}TopK node. Name:'node_9' Status Message: no"), [OTHER], model, None)
    assert "Check those that were given: --fill d=0 --inputs 'my x.npz'." in both.hint
