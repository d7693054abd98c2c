"""ONNX models for trials: small ones that are whole, and forms that no library would write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

FLOAT = TensorProto.FLOAT
ESCAPES = "\x1b]0;title\x07\x1b[2J\x1b[31mred\r\n"
HUGE = 2**62


def value(name: str = "x", shape: Sequence[int | str] | None = (2, 3), kind: int = FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: Iterable[NodeProto] | None = None,
    *,
    inputs: Iterable[ValueInfoProto] | None = None,
    outputs: Iterable[ValueInfoProto] | None = None,
    weights: Iterable[TensorProto] = (),
    opset: int = 17,
) -> ModelProto:
    """By default, a file that is whole: y = x + x."""
    graph = GraphProto(name="g")
    graph.node.extend([helper.make_node("Add", ["x", "x"], ["y"])] if nodes is None else nodes)
    graph.input.extend([value()] if inputs is None else inputs)
    graph.output.extend([value("y")] if outputs is None else outputs)
    graph.initializer.extend(weights)
    return ModelProto(ir_version=8, graph=graph, opset_import=[helper.make_opsetid("", opset)])


def impossible() -> ModelProto:
    """Its build fails: a matrix of 2 x 3 can't be multiplied by itself."""
    return model([helper.make_node("MatMul", ["x", "x"], ["y"])])


def with_weight(tensor: TensorProto) -> ModelProto:
    """y = x + w, where the tensor is called w."""
    return model([helper.make_node("Add", ["x", "w"], ["y"])], weights=[tensor])


def written(folder: Path, content: ModelProto | bytes, name: str = "model.onnx") -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return file


def replaced(content: ModelProto, old: bytes, new: bytes) -> bytes:
    """The file with text that protobuf's Python wouldn't write; both have the same length."""
    data: bytes = content.SerializeToString()
    assert old in data
    assert len(old) == len(new)
    return data.replace(old, new)


def external(location: str, *, offset: str = "", length: str = "", dims: Sequence[int] = (2, 3)) -> ModelProto:
    tensor = TensorProto(name="w", data_type=FLOAT, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, text in (("location", location), ("offset", offset), ("length", length)):
        if text:
            tensor.external_data.add(key=key, value=text)
    return with_weight(tensor)


def node(operator: str, inputs: Sequence[str] = ("x",), **attributes: Any) -> NodeProto:
    return helper.make_node(operator, inputs, ["y"], **attributes)


def constant(name: str, numbers: Sequence[int]) -> TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [len(numbers)], numbers)


def nested(depth: int) -> bytes:
    """If in If in If: bytes, as protobuf's own Python refuses to write what is nested so deeply."""
    inner = GraphProto(name="g", node=[helper.make_node("Identity", ["x"], ["y"])], output=[value("y")])
    body: bytes = inner.SerializeToString()
    for _ in range(depth):
        branches = wired(5, wired(1, b"then_branch") + wired(6, body) + b"\xa0\x01\x05")
        branches += wired(5, wired(1, b"else_branch") + wired(6, inner.SerializeToString()) + b"\xa0\x01\x05")
        made = wired(1, b"c") + wired(2, b"y") + wired(4, b"If") + branches
        body = wired(1, made) + wired(2, b"g") + wired(12, value("y").SerializeToString())
    body += wired(11, value().SerializeToString()) + wired(11, value("c", [], TensorProto.BOOL).SerializeToString())
    return b"\x08\x08" + wired(7, body) + wired(8, b"\x10\x11")


def wired(number: int, content: bytes) -> bytes:
    """A field of bytes, as protobuf writes it."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
