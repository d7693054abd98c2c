"""Hostile ONNX files: nodes, operators, versions, functions, and depth."""

from __future__ import annotations

from itertools import pairwise

from hostile_registry import (
    MEASURED,
    MEMORY,
    MODEL_ERROR,
    OPERATOR,
    hostile,
)
from onnx import ModelProto, NodeProto, TensorProto, helper
from onnx_forms import (
    ESCAPES,
    FLOAT,
    HUGE,
    constant,
    model,
    nested,
    node,
    replaced,
    value,
)


@hostile(MODEL_ERROR, says="outputs")
def graph_missing() -> ModelProto:
    return ModelProto(ir_version=8)


@hostile(MODEL_ERROR, says="outputs")
def graph_without_outputs() -> ModelProto:
    return model(outputs=[])


@hostile(MODEL_ERROR)
def graph_without_nodes() -> ModelProto:
    return model([])


@hostile(MODEL_ERROR)
def node_without_an_operator() -> ModelProto:
    return model([NodeProto(input=["x"], output=["y"])])


@hostile(MODEL_ERROR, OPERATOR)
def operator_unknown() -> ModelProto:
    return model([node("NoSuchOperator")])


@hostile(MODEL_ERROR, OPERATOR, says="com.example")
def operator_of_another_domain() -> ModelProto:
    return model([node("Evil", domain="com.example")])


@hostile(MODEL_ERROR, OPERATOR)
def operator_moves_the_cursor() -> ModelProto:
    return model([node(f"Op{ESCAPES}")])


@hostile(MODEL_ERROR, OPERATOR)
def operator_not_utf8() -> bytes:
    return replaced(model([node("Abcdef")]), b"Abcdef", b"Ab\xff\xfeef")


@hostile(MODEL_ERROR)
def cycle() -> ModelProto:
    return model(
        [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Add", ["a", "a"], ["b"]), node("Abs", ["b"])]
    )


@hostile(MODEL_ERROR)
def cycle_of_one() -> ModelProto:
    return model([helper.make_node("Add", ["x", "y"], ["y"])])


@hostile(MODEL_ERROR)
def output_computed_twice() -> ModelProto:
    return model([node("Abs"), node("Neg")])


@hostile(MODEL_ERROR)
def value_missing() -> ModelProto:
    return model([helper.make_node("Add", ["x", "nowhere"], ["y"])])


@hostile(MODEL_ERROR)
def attribute_of_a_wrong_type() -> ModelProto:
    return model([node("Concat", ["x", "x"], axis="text")])


@hostile(MODEL_ERROR)
def attribute_missing() -> ModelProto:
    return model([node("Concat", ["x", "x"])])


@hostile(MODEL_ERROR)
def if_without_branches() -> ModelProto:
    return model([node("If", ["c"])], inputs=[value("c", [], TensorProto.BOOL)])


@hostile(MODEL_ERROR)
def reshape_impossible() -> ModelProto:
    return model([node("Reshape", ["x", "s"])], outputs=[value("y", None)], weights=[constant("s", [7, 7])])


@hostile(MODEL_ERROR)
def index_out_of_range() -> ModelProto:
    return model([node("Gather", ["x", "i"])], outputs=[value("y", None)], weights=[constant("i", [10**12])])


@hostile(MODEL_ERROR, MEMORY)
def output_of_terabytes() -> ModelProto:
    return model(
        [node("Expand", ["x", "s"])],
        inputs=[value(shape=[1])],
        outputs=[value("y", None)],
        weights=[constant("s", [2**40])],
    )


@hostile(MODEL_ERROR, MEMORY)
def constant_of_terabytes() -> ModelProto:
    made = helper.make_node("ConstantOfShape", ["s"], ["c"])
    return model([made, node("Add", ["x", "c"])], outputs=[value("y", None)], weights=[constant("s", [2**40])])


@hostile(MODEL_ERROR, MEMORY)
def range_without_an_end() -> ModelProto:
    numbers = [helper.make_tensor(name, TensorProto.INT64, [], [n]) for name, n in (("a", 0), ("b", HUGE), ("c", 1))]
    made = helper.make_node("Range", ["a", "b", "c"], ["r"])
    cast = helper.make_node("Cast", ["r"], ["f"], to=FLOAT)
    return model([made, cast, node("Add", ["x", "f"])], outputs=[value("y", None)], weights=numbers)


@hostile(MODEL_ERROR)
def version_of_the_future() -> ModelProto:
    return model(opset=10**9)


@hostile(OPERATOR)
def version_negative() -> ModelProto:
    return model(opset=-1)


@hostile(MODEL_ERROR)
def version_missing() -> ModelProto:
    made = model()
    del made.opset_import[:]
    return made


@hostile(MODEL_ERROR)
def format_of_the_future() -> ModelProto:
    made = model()
    made.ir_version = 10**9
    return made


@hostile(MODEL_ERROR)
def function_that_calls_itself() -> ModelProto:
    made = model([node("Again", domain="own")])
    made.opset_import.add(domain="own", version=1)
    inner = helper.make_node("Again", ["x"], ["y"], domain="own")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    made.functions.append(helper.make_function("own", "Again", ["x"], ["y"], [inner], opsets))
    return made


@hostile(MODEL_ERROR)
def functions_that_call_each_other() -> ModelProto:
    made = model([node("A", domain="own")])
    made.opset_import.add(domain="own", version=1)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    for name, other in (("A", "B"), ("B", "A")):
        inner = helper.make_node(other, ["x"], ["y"], domain="own")
        made.functions.append(helper.make_function("own", name, ["x"], ["y"], [inner], opsets))
    return made


@hostile(MEASURED, MODEL_ERROR)
def nested_20_times() -> bytes:
    return nested(20)


@hostile(MODEL_ERROR)
def nested_500_times() -> bytes:
    return nested(500)


@hostile(MODEL_ERROR)
def nested_20000_times() -> bytes:
    return nested(20_000)


@hostile(MEASURED)
def nodes_in_a_chain_of_3000() -> ModelProto:
    names = ["x", *(f"v{number}" for number in range(2999)), "y"]
    return model([helper.make_node("Abs", [a], [b]) for a, b in pairwise(names)])


@hostile(MODEL_ERROR, MEASURED)
def sparse_weight_malformed() -> ModelProto:
    made = model([helper.make_node("Add", ["x", "w"], ["y"])])
    values = helper.make_tensor("w", FLOAT, [2], [1.0, 2.0])
    made.graph.sparse_initializer.add(values=values, indices=constant("i", [10**9, -4]), dims=[2, 3])
    return made
