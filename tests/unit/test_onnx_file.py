from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isobench.builds import drawing, onnx_file
from isobench.errors import ModelError
from isobench.planning.models import TensorSpec

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def save(
    path: Path,
    inputs: list[Any],
    outputs: list[Any],
    nodes: list[Any],
    weights: dict[str, Any] | None = None,
    **how: Any,
) -> Path:
    initializers = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path, **how)
    return path


def value(name: str, kind: int, shape: list[Any]) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


@pytest.fixture
def mlp(tmp_path: Path) -> Path:
    return save(
        tmp_path / "mlp.onnx",
        [value("x", FLOAT, ["batch", 4]), value("scale", FLOAT, ["batch", None])],
        [value("y", FLOAT, ["batch", 3])],
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Mul", ["h", "scale"], ["y"])],
        {"w": np.ones((4, 3), np.float32)},
    )


def bert(path: Path) -> Path:
    """Tables of 100 and 2 rows, indexed by way of other nodes, and a mask."""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.INT32),
        helper.make_node("Gather", ["words", "ids"], ["a"]),
        helper.make_node("Gather", ["kinds", "token_type_ids"], ["b"], axis=0),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Cast", ["attention_mask"], ["m"], to=FLOAT),
        helper.make_node("Unsqueeze", ["m", "axes"], ["m3"]),
        helper.make_node("Mul", ["c", "m3"], ["y"]),
    ]
    inputs = [value(name, INT64, [2, 50]) for name in ("input_ids", "token_type_ids", "attention_mask")]
    weights = {
        "words": np.ones((100, 8), np.float32),
        "kinds": np.ones((2, 8), np.float32),
        "axes": np.array([2], np.int64),
    }
    return save(path, inputs, [value("y", FLOAT, [2, 50, 8])], nodes, weights)


def test_the_signature_leaves_weights_out(mlp: Path) -> None:
    found = onnx_file.read(mlp)
    assert [str(spec) for spec in found.inputs] == ["x: float32[?, 4]", "scale: float32[?, ?]"]
    assert found.symbols == {"x": ("batch", ""), "scale": ("batch", "")}
    assert (found.opset, found.parameters, found.external) == (20, 12, ())


def test_integers_stay_within_what_they_index(tmp_path: Path) -> None:
    found = onnx_file.read(bert(tmp_path / "bert.onnx"))
    entries = drawing.draw(found.model, found.inputs, 0)
    rules = ["indices of words (0 to 99)", "zeros (token types by name)", "ones (mask by name)"]
    assert [entry.rule for entry in entries] == rules
    drawn = {entry.tensor.name: np.frombuffer(entry.tensor.data, np.int64) for entry in entries}
    assert drawn["input_ids"].min() >= 0
    assert 50 < drawn["input_ids"].max() < 100
    assert set(drawn["token_type_ids"].tolist()) == {0}
    assert set(drawn["attention_mask"].tolist()) == {1}


def test_the_same_seed_draws_the_same_bytes(tmp_path: Path) -> None:
    found = onnx_file.read(bert(tmp_path / "bert.onnx"))
    once, again, other = (drawing.draw(found.model, found.inputs, seed) for seed in (1, 1, 2))
    assert once == again
    assert once[0].tensor.data != other[0].tensor.data


KINDS = "FLOAT DOUBLE FLOAT16 BFLOAT16 BOOL INT8 UINT8 INT32 UINT64 COMPLEX64 FLOAT8E4M3FN"


@pytest.mark.parametrize("kind", KINDS.split())
def test_every_type_can_be_drawn(tmp_path: Path, kind: str) -> None:
    number = getattr(TensorProto, kind)
    path = save(
        tmp_path / "m.onnx",
        [value("x", number, [3, 5])],
        [value("y", number, [3, 5])],
        [helper.make_node("Identity", ["x"], ["y"])],
    )
    found = onnx_file.read(path)
    [drawn] = drawing.draw(found.model, found.inputs, 0)
    assert drawn.tensor.shape == (3, 5)
    assert len(set(drawn.tensor.data)) > 1


def test_external_data_is_found_hashed_and_carried_along(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    path = save(
        tmp_path / "m.onnx",
        [value("x", FLOAT, [1, 64])],
        [value("y", FLOAT, [1, 64])],
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"w": np.eye(64, dtype=np.float32)},
        save_as_external_data=True,
        location="m.weights",
        size_threshold=0,
    )
    found = onnx_file.read(path)
    assert [file.location for file in found.external] == ["m.weights"]
    onnx_file.copy(found, tmp_path / "there" / "model.onnx")
    copied = onnx_file.read(tmp_path / "there" / "model.onnx")
    before = onnx_file.content_hash(copied.path, copied.external)
    assert before == onnx_file.content_hash(path, found.external)
    (tmp_path / "there" / "m.weights").write_bytes(bytes(64 * 64 * 4))
    assert onnx_file.content_hash(copied.path, copied.external) != before
    (tmp_path / "m.weights").unlink()
    with pytest.raises(ModelError, match=r"has weights in 'm.weights', which is missing"):
        onnx_file.read(path)


def test_weights_outside_of_the_folder_are_refused(tmp_path: Path) -> None:
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secrets")
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [value("y", FLOAT, [1])], [tensor])
    (tmp_path / "deep").mkdir()
    (tmp_path / "secrets").write_bytes(bytes(4))
    (tmp_path / "deep" / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(ModelError, match="outside of its own folder"):
        onnx_file.read(tmp_path / "deep" / "m.onnx")


def test_files_that_are_no_onnx_are_refused(tmp_path: Path, mlp: Path) -> None:
    (tmp_path / "text.onnx").write_text("not at all")
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "half.onnx").write_bytes(mlp.read_bytes()[:60])
    (tmp_path / "other.onnx").write_bytes(b"\x08\x01")
    for name, what in (
        ("text", "is a text file"),
        ("empty", "is empty"),
        ("half", r"is incomplete: \d+ bytes are missing at its end"),
        ("other", "isn't an ONNX file: it has no graph with outputs"),
    ):
        with pytest.raises(ModelError, match=rf"{name}\.onnx {what}"):
            onnx_file.read(tmp_path / f"{name}.onnx")


def test_what_the_checker_does_not_like_is_a_note(tmp_path: Path, mlp: Path) -> None:
    node = helper.make_node("Nonsense", ["x"], ["y"])
    path = save(tmp_path / "m.onnx", [value("x", FLOAT, [1])], [value("y", FLOAT, [1])], [node])
    [note] = onnx_file.notes(path)
    assert note.startswith("onnx.checker: No Op registered for Nonsense")
    assert "\n" not in note
    assert onnx_file.notes(mlp) == ()


def test_the_type_of_a_value_that_is_no_tensor_of_numbers_has_a_name(tmp_path: Path) -> None:
    tensor, text = (
        helper.make_tensor_type_proto(FLOAT, [2, 3]),
        helper.make_tensor_type_proto(TensorProto.STRING, [None]),
    )
    maps = helper.make_sequence_type_proto(helper.make_map_type_proto(INT64, tensor))
    types = {
        "string": text,
        "sequence(string)": helper.make_sequence_type_proto(text),
        "optional(float32)": helper.make_optional_type_proto(tensor),
        "optional(sequence(float32))": helper.make_optional_type_proto(helper.make_sequence_type_proto(tensor)),
        "sequence(map(int64, float32))": maps,
        "int4": helper.make_tensor_type_proto(TensorProto.INT4, [2]),
    }
    inputs = [helper.make_value_info(name, kind) for name, kind in types.items()]
    outputs = [helper.make_value_info("of " + name, kind) for name, kind in types.items() if "map" not in name]
    nodes = [helper.make_node("Identity", [entry.name.removeprefix("of ")], [entry.name]) for entry in outputs]
    path = tmp_path / "m.onnx"
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10), path)
    found = onnx_file.read(path)
    assert [spec.dtype for spec in found.inputs] == list(types)
    assert [spec.dtype for spec in found.outputs] == [name for name in types if "map" not in name]
    assert [spec.shape for spec in found.inputs[:4]] == [(None,), (), (2, 3), ()]


def test_maps_can_not_be_drawn() -> None:
    for dtype in ("map(int64, float32)", "sequence(map(int64, float32))"):
        with pytest.raises(ModelError, match="no values can be drawn") as caught:
            drawing.draw(None, [TensorSpec(name="x", dtype=dtype, shape=())], 0)
        assert "--inputs" in caught.value.hint


def test_names_that_are_not_utf8_are_refused_or_no_names(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [value("the input", FLOAT, ["the size"])],
        [value("y", FLOAT, None)],
        [
            helper.make_node("Relu", ["the input"], ["inner"], name="relu one"),
            helper.make_node("Relu", ["inner"], ["y"]),
        ],
    )
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"the size", b"\xb3\xdf\xb4\xe7 n  "))
    assert onnx_file.read(path).symbols == {"the input": ("",)}
    path.write_bytes(whole.replace(b"inner", b"\xb3\xdf x ").replace(b"relu one", b"\xb3\xdf\xb4\xe7 one"))
    found = onnx_file.read(path)
    assert [node.name for node in found.model.graph.node] == ["\\xb3\u07f4\\xe7 one", ""]
    assert list(found.model.graph.node[0].output) == list(found.model.graph.node[1].input) == [r"\xb3\xdf x "]
    onnx_file.with_sizes(found, {})
    path.write_bytes(whole.replace(b"the input", b"\xb3\xdf\xb4\xe7 abcd"))
    with pytest.raises(ModelError, match="isn't UTF-8"):
        onnx_file.read(path)
