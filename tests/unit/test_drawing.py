from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, parser
from onnx.reference import ReferenceEvaluator

from isobench.builds import drawing, element_types
from isobench.errors import ModelError
from isobench.planning.models import TensorSpec

HEAD = '<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1, "ai.onnx.ml" : 3, "own" : 1]>\n'


def model(text: str, opset: int = 20) -> onnx.ModelProto:
    return parser.parse_model(HEAD.replace("{opset}", str(opset)) + text)


def specs(graph: onnx.GraphProto) -> list[TensorSpec]:
    weights = {tensor.name for tensor in graph.initializer}
    found = []
    for value in graph.input:
        if value.name not in weights:
            kind = value.type.tensor_type
            dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type)).name
            name = "string" if kind.elem_type == TensorProto.STRING else dtype
            shape = tuple(entry.dim_value for entry in kind.shape.dim)
            found.append(TensorSpec(name=value.name, dtype=name, shape=shape))
    return found


def array(drawn: drawing.Drawn) -> Any:
    return element_types.to_array(drawn.tensor)


def draw(text: str, seed: int = 0, opset: int = 20) -> dict[str, drawing.Drawn]:
    made = model(text, opset)
    return {entry.tensor.name: entry for entry in drawing.draw(made, specs(made.graph), seed)}


def values(text: str, name: str, seed: int = 0, opset: int = 20) -> list[Any]:
    found: list[Any] = array(draw(text, seed, opset)[name]).reshape(-1).tolist()
    return found


def outputs(text: str, seed: int = 0, opset: int = 20) -> list[Any]:
    feeds = {name: array(entry) for name, entry in draw(text, seed, opset).items()}
    found: list[Any] = ReferenceEvaluator(model(text, opset)).run(None, feeds)
    return found


TABLES = {
    "an initializer": "g (int64[2,9] i) => (float[2,9,2] y) <float[3,2] t = {1,2,3,4,5,6}> { y = Gather(t, i) }",
    "a Constant node": """g (int64[2,9] i) => (float[2,9,2] y) {
        t = Constant<value: tensor = float[3,2] {1,2,3,4,5,6}>()
        y = Gather(t, i) }""",
    "a quantised table": """g (int64[2,9] i) => (float[2,9,2] y) <int8[3,2] q = {1,2,3,4,5,6}, float s = {0.5}> {
        t = DequantizeLinear(q, s)
        y = Gather(t, i) }""",
    "a computed table": """g (float[5,2] x, int64[2,9] i) => (float[2,9,2] y) <int64[1] a = {0}, int64[1] b = {3}> {
        t = Slice(x, a, b)
        y = Gather(t, i) }""",
    "a table that is an input": "g (float[3,2] t, int64[2,9] i) => (float[2,9,2] y) { y = Gather(t, i) }",
    "a table of a computed shape": """g (float[2,3] x, float[6] t, int64[2,9] i) => (float[2,9,2] y)
        <int64[2] order = {1,0}> {
        shape = Shape(x)
        turned = Gather(shape, order)
        table = Reshape(t, turned)
        y = Gather(table, i) }""",
    "behind casts and shapes": """g (int64[18] i) => (float[2,9,2] y)
        <float[3,2] t = {1,2,3,4,5,6}, int64[2] s = {2,9}> {
        a = Cast<to = 6>(i)
        b = Reshape(a, s)
        y = Gather(t, b) }""",
    "behind a sum": """g (int64[2,9] i) => (float[2,9,2] y)
        <float[5,2] t = {1,2,3,4,5,6,7,8,9,0}, int64 two = {2}> {
        j = Add(i, two)
        y = Gather(t, j) }""",
    "in a branch": """g (bool c, int64[2,9] i) => (float[2,9,2] y) <float[3,2] t = {1,2,3,4,5,6}> {
        y = If(c) <then_branch = a () => (float[2,9,2] o) { o = Gather(t, i) },
                   else_branch = b () => (float[2,9,2] p) { p = Gather(t, i) }> }""",
    "of a computed shape, in a branch": """g (bool c, float[2,3] x, float[6] t, int64[2,9] i) => (float[2,9,2] y)
        <int64[2] order = {1,0}> {
        y = If(c) <then_branch = a () => (float[2,9,2] o) {
                shape = Shape(x)
                turned = Gather(shape, order)
                table = Reshape(t, turned)
                o = Gather(table, i) },
            else_branch = b () => (float[2,9,2] p) {
                zero = Constant<value_ints = [0]>()
                three = Constant<value_ints = [3]>()
                part = Slice(x, zero, three)
                flat = Transpose(part)
                p = Gather(flat, i) }> }""",
    "in a loop": """g (int64[2,9] i) => (float[2,9,2] y)
        <float[3,2] t = {1,2,3,4,5,6}, int64 n = {2}, bool true = {1}> {
        k, y0 = Loop(n, true, i) <body = b (int64 step, bool on, int64[2,9] j)
            => (bool on2, int64[2,9] j2, float[2,9,2] z) {
            on2 = Identity(on)
            j2 = Identity(j)
            z = Gather(t, j) }>
        first = Constant<value = int64 {0}>()
        y = Gather(y0, first) }""",
}


@pytest.mark.parametrize("where", TABLES)
def test_indices_stay_within_the_table(where: str) -> None:
    for seed in range(3):
        drawn = values(TABLES[where], "i", seed)
        assert set(drawn) == {0, 1, 2}
    assert outputs(TABLES[where])[0].shape[-2:] == (9, 2)


def test_a_rule_says_what_values_become_on_the_way() -> None:
    assert draw(TABLES["behind a sum"])["i"].rule == "0 to 2, which become indices of t (0 to 4)"
    assert draw(TABLES["a Constant node"])["i"].rule == "indices of t (0 to 2)"


def test_indices_stay_within_the_table_of_a_function() -> None:
    text = """g (int64[2,9] i) => (float[2,9,2] y) <float[3,2] w = {1,2,3,4,5,6}> { y = own.embed(w, i) }
    <domain: "own", opset_import: ["" : 20]> embed (t, ids) => (z) { z = Gather(t, ids) }"""
    assert set(values(text, "i")) == {0, 1, 2}
    assert outputs(text)[0].shape == (2, 9, 2)


def test_indices_of_a_table_without_rows_are_refused() -> None:
    text = "g (int64[1] i) => (float[1,4] y) <float[0,4] t = {}> { y = Gather(t, i) }"
    with pytest.raises(
        ModelError, match="no value of input i is valid: it holds indices of t, which has 0 rows"
    ) as caught:
        draw(text)
    assert caught.value.hint == "It can only be empty: --shape i=0"
    assert values(text.replace("int64[1]", "int64[0]").replace("float[1,4]", "float[0,4]"), "i") == []


# Text of a model, the shapes of its outputs as the reference implementation computes them from drawn values.
LEGAL: dict[str, tuple[str, tuple[int, ...]]] = {
    "GatherElements": (
        "g (float[3,2] t, int64[3,5] i) => (float[3,5] y) { y = GatherElements<axis = 1>(t, i) }",
        (3, 5),
    ),
    "GatherND": ("g (float[3,2,4] t, int64[5,2] i) => (float[5,4] y) { y = GatherND(t, i) }", (5, 4)),
    "ScatterND": ("g (float[3,4] t, int64[2,1] i, float[2,4] u) => (float[3,4] y) { y = ScatterND(t, i, u) }", (3, 4)),
    "ScatterElements": (
        "g (float[3,4] t, int64[2,4] i, float[2,4] u) => (float[3,4] y) { y = ScatterElements(t, i, u) }",
        (3, 4),
    ),
    "OneHot": ("g (int64[4] i, int64 d, float[2] v) => (float[4,7] y) { y = OneHot(i, d, v) }", (4, 7)),
    "Reshape as declared": ("g (float[2,6] x, int64[2] s) => (float[3,4] y) { y = Reshape(x, s) }", (3, 4)),
    "Reshape, nothing declared": ("g (float[2,6] x, int64[2] s) => (float[a,b] y) { y = Reshape(x, s) }", (2, 6)),
    "Reshape, half declared": ("g (float[2,6] x, int64[2] s) => (float[4,b] y) { y = Reshape(x, s) }", (4, 3)),
    "Reshape by parts": (
        """g (float[2,6] x, int64[1] s) => (float[a,b] y) <int64[1] four = {4}> {
            whole = Concat<axis = 0>(s, four)
            y = Reshape(x, whole) }""",
        (3, 4),
    ),
    "Reshape to nothing": (
        "g (float[3,4,0] x, int64[3] s) => (float[4,0,3] y) { y = Reshape<allowzero = 1>(x, s) }",
        (4, 0, 3),
    ),
    "Expand": ("g (float[3,1] x, int64[3] s) => (float[2,3,6] y) { y = Expand(x, s) }", (2, 3, 6)),
    "Expand, declared wrongly": ("g (float[3,1] x, int64[2] s) => (float[4,6] y) { y = Expand(x, s) }", (3, 6)),
    "ConstantOfShape": ("g (int64[3] s) => (float[4,3,2] y) { y = ConstantOfShape(s) }", (4, 3, 2)),
    "Tile": ("g (float[2,3] x, int64[2] r) => (float[4,9] y) { y = Tile(x, r) }", (4, 9)),
    "Tile, nothing declared": ("g (float[2,3] x, int64[2] r) => (float[a,b] y) { y = Tile(x, r) }", (2, 3)),
    "Slice": (
        """g (float[20,10,5] x, int64[2] starts, int64[2] ends, int64[2] axes, int64[2] steps) => (float[20,3,2] y) {
            y = Slice(x, starts, ends, axes, steps) }""",
        (20, 3, 2),
    ),
    "Slice backwards": (
        """g (float[20] x, int64[1] starts, int64[1] ends) => (float[5] y)
            <int64[1] axes = {0}, int64[1] steps = {-2}> { y = Slice(x, starts, ends, axes, steps) }""",
        (5,),
    ),
    "Split": ("g (float[7] x, int64[2] s) => (float[2] y, float[5] z) { y, z = Split(x, s) }", (2,)),
    "Split, nothing declared": ("g (float[7] x, int64[2] s) => (float[a] y, float[b] z) { y, z = Split(x, s) }", (4,)),
    "Pad": ("g (float[2,3] x, int64[4] p) => (float[2,6] y) { y = Pad(x, p) }", (2, 6)),
    "Resize by scales": ("g (float[1,1,3,4] x, float[4] s) => (float[1,1,5,9] y) { y = Resize(x, , s) }", (1, 1, 5, 9)),
    "Resize by sizes": (
        "g (float[1,1,3,4] x, int64[4] s) => (float[1,1,5,9] y) { y = Resize(x, , , s) }",
        (1, 1, 5, 9),
    ),
    "ReduceSum": ("g (float[2,3,4] x, int64[2] a) => (float[3] y) { y = ReduceSum<keepdims = 0>(x, a) }", (3,)),
    "Squeeze": ("g (float[1,3,1] x, int64[1] a) => (float[1,3] y) { y = Squeeze(x, a) }", (1, 3)),
    "Unsqueeze": ("g (float[3,4] x, int64[2] a) => (float[3,1,4,1] y) { y = Unsqueeze(x, a) }", (3, 1, 4, 1)),
    "CumSum": ("g (float[3,4] x, int64 a) => (float[3,4] y) { y = CumSum(x, a) }", (3, 4)),
    "TopK": ("g (float[3,9] x, int64[1] k) => (float[3,4] y, int64[3,4] i) { y, i = TopK(x, k) }", (3, 4)),
    "Range": ("g (int64 a, int64 b, int64 c) => (int64[6] y) { y = Range(a, b, c) }", (6,)),
    "Trilu": ("g (float[3,4] x, int64 k) => (float[3,4] y) { y = Trilu(x, k) }", (3, 4)),
    "Compress": ("g (float[4,2] x, bool[4] c) => (float[3,2] y) { y = Compress<axis = 0>(x, c) }", (3, 2)),
    "CenterCropPad": ("g (float[4,8] x, int64[2] s) => (float[6,6] y) { y = CenterCropPad(x, s) }", (6, 6)),
    "AffineGrid": ("g (float[2,2,3] t, int64[4] s) => (float[2,5,6,2] y) { y = AffineGrid(t, s) }", (2, 5, 6, 2)),
    "HannWindow": ("g (int32 n) => (float[12] y) { y = HannWindow(n) }", (12,)),
    "Classes of a loss": (
        "g (float[3,5] x, int64[3] c) => (float[3] y) { y = NegativeLogLikelihoodLoss<reduction = 'none'>(x, c) }",
        (3,),
    ),
    "Lengths": ("g (float[4,2] x, int64[2] n) => (float[4,2] y) { y = ReverseSequence(x, n) }", (4, 2)),
    "Loop": (
        """g (int64 n, bool go, float[2] x) => (float[2] y, float[3,2] all) {
            y, all = Loop(n, go, x) <body = b (int64 step, bool on, float[2] v)
                => (bool on2, float[2] w, float[2] z) {
                on2 = Identity(on)
                w = Add(v, v)
                z = Identity(v) }> }""",
        (2,),
    ),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("operator", LEGAL)
def test_drawn_operands_are_legal_and_give_the_declared_shape(operator: str) -> None:
    text, shape = LEGAL[operator]
    text = text.replace("'", '"')
    for seed in (0, 1):
        assert outputs(text, seed)[0].shape == shape
    structural = [entry for entry in draw(text).values() if entry.tensor.dtype == "int64" and " of " in entry.rule]
    other = draw(text, seed=1)
    for entry in structural:
        if "indices" not in entry.rule:
            assert other[entry.tensor.name] == entry, "sizes, axes and lengths don't depend on the seed"


def test_a_loop_runs_as_often_as_its_output_is_declared() -> None:
    assert outputs(LEGAL["Loop"][0])[1].shape == (3, 2)


def test_the_branch_does_not_depend_on_the_seed() -> None:
    text = """g (bool[1] use_cache) => (float[1] y) <int64[0] none = {}> {
        c = Reshape(use_cache, none)
        y = If(c) <then_branch = a () => (float[1] o) { o = Constant<value_floats = [1.0]>() },
                   else_branch = b () => (float[1] p) { p = Constant<value_floats = [2.0]>() }> }"""
    for seed in range(5):
        assert outputs(text, seed) == [[1.0]]
    assert draw(text)["use_cache"].rule == "true (chooses the branch of the If that computes y)"


def test_values_that_a_branch_is_computed_from_do_not_depend_on_the_seed() -> None:
    text = """g (float[4] x, float[4] other) => (float[4] y) <float zero = {0}, int64[1] first = {0}> {
        z = Add(x, other)
        most = ReduceMax<keepdims = 0>(x)
        c = Greater(most, zero)
        y = If(c) <then_branch = a () => (float[4] o) { o = Neg(z) },
                   else_branch = b () => (float[4] p) { p = Abs(z) }> }"""
    one, two = draw(text, 1), draw(text, 2)
    assert one["x"] == two["x"]
    assert one["x"].rule == "standard normal, whatever the seed, as the If that computes y depends on it"
    assert one["other"] != two["other"]


def test_a_branch_that_is_chosen_by_a_shape_is_no_matter_of_values() -> None:
    text = """g (float[4] x) => (float[4] y) <int64 four = {4}> {
        n = Size(x)
        c = Equal(n, four)
        y = If(c) <then_branch = a () => (float[4] o) { o = Neg(x) },
                   else_branch = b () => (float[4] p) { p = Abs(x) }> }"""
    assert draw(text, 1)["x"].rule == "standard normal"
    assert draw(text, 1)["x"] != draw(text, 2)["x"]


def test_integers_are_not_divided_by_zero() -> None:
    text = "g (int32[64] x, int32[64] d) => (int32[64] y) { y = Div(x, d) }"
    assert set(values(text, "d")) == set(range(1, 10))
    assert draw(text)["d"].rule == "integers from 1 to 9 (divisor of the Div that computes y: never 0)"


def test_dropout_does_not_train() -> None:
    text = "g (float[4] x, float r, bool t) => (float[4] y) { y = Dropout(x, r, t) }"
    assert (values(text, "r"), values(text, "t")) == ([0.5], [False])


def test_scales_are_positive_and_zero_points_in_the_middle() -> None:
    text = "g (float[8] x, float s, uint8 z) => (uint8[8] y) { y = QuantizeLinear(x, s, z) }"
    assert values(text, "s")[0] > 0
    assert values(text, "z") == [128]


@pytest.mark.parametrize("operator", ["Log", "Sqrt", "Acosh", "Asin", "Atanh"])
def test_the_domain_of_a_function_is_respected(operator: str) -> None:
    [y] = outputs(f"g (float[50] x) => (float[50] y) {{ y = {operator}(x) }}")
    assert np.isfinite(y).all()


def test_words_of_an_embedding_with_normalisation_stay_within_its_tables() -> None:
    text = """g (int32[1,8] input_ids, int32[1,8] kinds, float[9,4] w, float[16,4] p, float[2,4] s, float[4] a,
            float[4] b) => (float[1,8,4] y) {
        y, m = com.microsoft.EmbedLayerNormalization(input_ids, kinds, w, p, s, a, b) }"""
    assert max(values(text, "input_ids")) <= 8
    assert set(values(text, "kinds")) == {0, 1}
    assert draw(text)["kinds"].rule == "indices of s (0 to 1)"


def test_keys_of_an_encoder_are_drawn_from_its_list() -> None:
    text = """g (string[9] x) => (int64[9] y) {
        y = ai.onnx.ml.LabelEncoder<keys_strings = ["cat", "dog"], values_int64s = [0, 1]>(x) }"""
    assert set(values(text, "x")) == {"cat", "dog"}


def test_text_that_is_cast_is_numbers() -> None:
    assert all(word.isdigit() for word in values("g (string[9] x) => (float[9] y) { y = Cast<to = 1>(x) }", "x"))


def test_names_tell_masks_positions_token_types_and_lengths() -> None:
    text = """g (int64[2,5] attention_mask, int64[2,5] position_ids, int64[2,5] token_type_ids, int64[2] seq_lengths)
        => (int64[2,5] y, int64[2] z) {
        a = Add(attention_mask, position_ids)
        y = Add(a, token_type_ids)
        z = Identity(seq_lengths) }"""
    drawn = draw(text)
    assert [array(entry).reshape(-1).tolist() for entry in drawn.values()] == [
        [1] * 10,
        [0, 1, 2, 3, 4] * 2,
        [0] * 10,
        [5, 5],
    ]
    assert [entry.rule for entry in drawn.values()] == [
        "ones (mask by name)",
        "counting up (positions by name)",
        "zeros (token types by name)",
        "all 5 (the longest, by name)",
    ]


def test_a_name_does_not_leave_the_table() -> None:
    text = "g (int64[1,9] position_ids) => (float[1,9,1] y) <float[3,1] t = {1,2,3}> { y = Gather(t, position_ids) }"
    assert max(values(text, "position_ids")) <= 2


def test_a_single_number_of_unknown_meaning_does_not_depend_on_the_seed() -> None:
    text = "g (int64 n, float[3] x) => (float[3] y) { m = Cast<to = 1>(n) y = Mul(x, m) }"
    assert {values(text, "n", seed)[0] for seed in range(5)} == {1}


def test_weights_in_another_file_are_not_needed(tmp_path: Path) -> None:
    made = model("g (int64[2,9] i) => (float[2,9,2] y) <float[3,2] t = {1,2,3,4,5,6}> { y = Gather(t, i) }")
    made.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.ones((3, 2), np.float32), "t"))
    onnx.save(made, tmp_path / "m.onnx", save_as_external_data=True, location="gone", size_threshold=0)
    (tmp_path / "gone").unlink()
    loaded = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    [drawn] = drawing.draw(loaded, specs(loaded.graph), 0)
    assert drawn.rule == "indices of t (0 to 2)"


def test_an_operator_that_onnx_does_not_know_is_no_obstacle() -> None:
    text = """g (float[2,3] x, int64[4] i) => (float[4,3] y) {
        h = own.Mystery(x)
        y = Gather(x, i) }"""
    assert set(values(text, "i")) <= {0, 1}


def test_what_the_checker_does_not_like_is_no_obstacle() -> None:
    made = model("""g (float[5,2] x, int64[2,9] i) => (float[2,9,2] y) <int64[1] a = {0}, int64[1] b = {3}> {
        t = Slice(x, a, b)
        u = com.microsoft.Gelu(t)
        y = Gather(t, i) }""")
    nodes = list(made.graph.node)
    del made.graph.node[:], made.opset_import[1:]
    made.graph.node.extend(reversed(nodes))
    made.opset_import[0].domain = "ai.onnx"
    made.graph.output[0].type.tensor_type.ClearField("shape")
    made.graph.ClearField("name")
    rules = [entry.rule for entry in drawing.draw(made, specs(made.graph), 0)]
    assert rules == ["standard normal", "indices of t (0 to 2)"]


def test_operands_name_role_and_node() -> None:
    text = "g (float[2,6] x, int64[2] s) => (float[a,b] y) { [reshape_1] y = Reshape(x, s) }"
    drawn = draw(text)["s"]
    operand = drawing.Operand(role="shape operand of Reshape reshape_1", operator="Reshape", node="reshape_1")
    assert drawn.operands == (operand,)
    assert drawn.rule == "2, 6 (shape of Reshape reshape_1)"


def test_elements_of_a_sequence_are_tensors_of_their_own() -> None:
    made = model("g (seq(float[2]) x) => (float[2] y) <int64 n = {0}> { y = SequenceAt(x, n) }")
    parts = [TensorSpec(name=f"x.{k}", dtype="float32", shape=(2,)) for k in range(2)]
    drawn = drawing.draw(made, parts, 0)
    assert [(entry.tensor.name, entry.tensor.shape) for entry in drawn] == [("x.0", (2,)), ("x.1", (2,))]
    assert drawn[0].tensor.data != drawn[1].tensor.data


def test_values_that_are_given_count_for_the_others() -> None:
    made = model("g (float[2,6] x, int64[2] s, int64[40] i) => (float[a,b] y) { t = Reshape(x, s) y = Gather(t, i) }")
    given = {"s": element_types.to_tensor("s", np.array([4, 3]))}
    drawn = {entry.tensor.name: entry for entry in drawing.draw(made, specs(made.graph), 0, given)}
    assert list(drawn) == ["x", "i"]
    assert set(array(drawn["i"]).tolist()) == {0, 1, 2, 3}
