"""Outputs that depend on random numbers, by operators and switches."""

from __future__ import annotations

from typing import Any

import pytest
from onnx import TensorProto, helper

from isobench.builds import random_outputs
from isobench.workers.protocol import Tensor

FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL


def value(name: str, kind: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, [2] if kind == FLOAT else [])


def found(nodes: list[Any], outputs: list[str], *, on: bool = True, **graph: Any) -> set[str]:
    made = helper.make_graph(nodes, "g", [value("x"), value("t", BOOL)], [value(name) for name in outputs], **graph)
    model = helper.make_model(made)
    return random_outputs.find(model, [Tensor("t", "bool", (), bytes([on]))])


def test_what_follows_a_random_operator_is_random_and_nothing_else() -> None:
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["r"], seed=1.0),
        helper.make_node("Add", ["x", "r"], ["y"]),
        helper.make_node("Relu", ["x"], ["z"]),
    ]
    assert found(nodes, ["y", "z"]) == {"y"}


@pytest.mark.parametrize("on", [True, False])
def test_dropout_is_random_where_its_switch_is_on(on: bool) -> None:
    by_input = [helper.make_node("Dropout", ["x", "", "t"], ["y"], seed=0)]
    assert found(by_input, ["y"], on=on) == ({"y"} if on else set())
    switch = helper.make_tensor("s", BOOL, [], [on])
    by_weight = [helper.make_node("Dropout", ["x", "", "s"], ["y"])]
    assert found(by_weight, ["y"], initializer=[switch]) == ({"y"} if on else set())
    by_constant = [helper.make_node("Constant", [], ["s"], value=switch), *by_weight]
    assert found(by_constant, ["y"]) == ({"y"} if on else set())
    assert found([helper.make_node("Dropout", ["x"], ["y"])], ["y"]) == set()


def test_random_operators_in_branches_count() -> None:
    branches = {
        name: helper.make_graph([helper.make_node(operator, ["x"], ["b"])], name, [], [value("b")])
        for name, operator in (("then_branch", "Bernoulli"), ("else_branch", "Relu"))
    }
    nodes = [helper.make_node("If", ["t"], ["y"], **branches)]
    assert found(nodes, ["y"]) == {"y"}
