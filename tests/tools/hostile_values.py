"""Hostile ONNX files: external data, inputs and weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_registry import MEASURED, MEMORY, MODEL_ERROR, USAGE, add, hostile
from onnx import ModelProto, TensorProto, TypeProto, ValueInfoProto, helper
from onnx_forms import (
    ESCAPES,
    FLOAT,
    HUGE,
    external,
    model,
    replaced,
    value,
    wired,
    with_weight,
    written,
)

# External data


def _external(name: str, says: str, location: str, prepare: Callable[[Path], Any] = lambda _: None, **how: Any) -> None:
    def make(folder: Path) -> Path:
        prepare(folder)
        return written(folder, external(location, **how))

    add(f"external_{name}", make, (MODEL_ERROR,), says)


def _some(folder: Path) -> None:
    (folder / "some.bin").write_bytes(bytes(24))


_external("nul", "missing", "a\0b")
_external("of_5000_letters", "can't be read", "x" * 5000)
_external("deep_path", "can't be read", "/".join(["x" * 200] * 40))
_external("link_loop", "missing", "loop.bin", lambda folder: (folder / "loop.bin").symlink_to("loop.bin"))
_external("fifo", "isn't a file", "fifo.bin", lambda folder: os.mkfifo(folder / "fifo.bin"))
_external("folder", "isn't a file", "sub", lambda folder: (folder / "sub").mkdir())
_external("device", "isn't a file", "zero", lambda folder: (folder / "zero").symlink_to("/dev/zero"))
_external("memory", "outside", "mem", lambda folder: (folder / "mem").symlink_to("/proc/self/mem"))
_external("dangling", "missing", "gone", lambda folder: (folder / "gone").symlink_to("nothing"))
_external("above", "outside", "../some.bin")
_external("above_inside", "outside", "sub/../../some.bin")
_external("absolute", "outside", "/etc/hostname")
_external("of_windows", "outside", "C:\\some.bin")
_external("link_outside", "outside", "link", lambda folder: (folder / "link").symlink_to("/etc/passwd"))
_external("no_name", "outside", "")
_external("dot", "outside", ".")
_external("missing", "missing", "gone.bin")
_external("escapes", "missing", f"{ESCAPES}.bin")
_external("short", "24 bytes", "some.bin", _some, dims=(2, 30), length="240")
_external("beyond", "are needed", "some.bin", _some, offset="1000", length="24")
_external("offset_of_1e30", "", "some.bin", _some, offset="1" + "0" * 30, length="24")
_external("offset_of_10000_digits", "", "some.bin", _some, offset="9" * 10_000, length="24")
_external("offset_negative", "", "some.bin", _some, offset="-1", length="24")
_external("offset_of_superscripts", "", "some.bin", _some, offset="\u00b2", length="24")
_external("length_too_small", "", "some.bin", _some, length="4")
add(
    "external_name_not_utf8",
    lambda folder: written(folder, replaced(external("abcdefg.bin"), b"abcdefg.bin", b"abc\xff\xfefg.bin")),
    (MODEL_ERROR,),
    "UTF-8",
)


# Inputs


@hostile(USAGE, says="too large")
def input_of_70_dimensions() -> ModelProto:
    return model(inputs=[value(shape=[1] * 70)], outputs=[value("y", None)])


@hostile(USAGE, says="too large")
def input_overflows() -> ModelProto:
    return model(inputs=[value(shape=[HUGE, HUGE])], outputs=[value("y", None)])


@hostile(MEMORY, says="memory")
def input_of_4_terabytes() -> ModelProto:
    return model(inputs=[value(shape=[2**20, 2**20])], outputs=[value("y", None)])


@hostile(MEMORY, says="memory")
def inputs_of_much_memory_together() -> ModelProto:
    names = [f"x{number}" for number in range(200)]
    node = helper.make_node("Concat", names, ["y"], axis=0)
    return model([node], inputs=[value(name, [2**28]) for name in names], outputs=[value("y", None)])


@hostile(USAGE, says="without a fixed size")
def input_of_negative_size() -> ModelProto:
    return model(inputs=[value(shape=[-3, -(2**62)])], outputs=[value("y", None)])


@hostile(USAGE, MEMORY, says="large")
def input_of_the_largest_size() -> ModelProto:
    return model(inputs=[value(shape=[2**63 - 1])], outputs=[value("y", None)])


@hostile(MODEL_ERROR)
def inputs_of_one_name() -> ModelProto:
    return model(inputs=[value(), value()])


@hostile(MODEL_ERROR)
def input_without_a_name() -> ModelProto:
    return model([helper.make_node("Add", ["", ""], ["y"])], inputs=[value("")])


@hostile(MEASURED)
def input_name_of_5000_letters() -> ModelProto:
    name = "n" * 5000
    return model([helper.make_node("Add", [name, name], ["y"])], inputs=[value(name)])


@hostile(MEASURED, MODEL_ERROR)
def input_name_with_nul() -> ModelProto:
    return model([helper.make_node("Add", ["a\0b", "a\0b"], ["y"])], inputs=[value("a\0b")])


@hostile(MEASURED)
def input_name_is_a_path() -> ModelProto:
    name = "../../../../tmp/escaped"
    return model([helper.make_node("Add", [name, name], ["y"])], inputs=[value(name)])


@hostile(MEASURED)
def input_name_moves_the_cursor() -> ModelProto:
    return model([helper.make_node("Add", [ESCAPES, ESCAPES], ["y"])], inputs=[value(ESCAPES)])


@hostile(MODEL_ERROR, says="UTF-8")
def input_name_not_utf8() -> bytes:
    made = model([helper.make_node("Add", ["abcd", "abcd"], ["y"])], inputs=[value("abcd")])
    return replaced(made, b"abcd", b"\xff\xfe\xfd\xfc")


@hostile(MODEL_ERROR, says="element type")
def input_of_unknown_type() -> ModelProto:
    return model(inputs=[value(kind=123)])


@hostile(MODEL_ERROR, says="type")
def input_of_undefined_type() -> ModelProto:
    return model(inputs=[value(kind=0)])


@hostile(MODEL_ERROR, says="type")
def input_without_a_type() -> ModelProto:
    return model(inputs=[ValueInfoProto(name="x")])


@hostile(MODEL_ERROR, says="type")
def input_of_a_sparse_type() -> ModelProto:
    return model(inputs=[ValueInfoProto(name="x", type=helper.make_sparse_tensor_type_proto(FLOAT, [2, 3]))])


@hostile(MODEL_ERROR, USAGE)
def input_of_sequences_in_sequences() -> ModelProto:
    kind = helper.make_tensor_type_proto(FLOAT, [2])
    for _ in range(20):
        kind = helper.make_sequence_type_proto(kind)
    return model(inputs=[ValueInfoProto(name="x", type=kind)], outputs=[ValueInfoProto(name="y")])


@hostile(MODEL_ERROR, says="ONNX")
def input_of_types_beyond_protobufs_depth() -> bytes:
    kind: bytes = TypeProto(tensor_type=TypeProto.Tensor(elem_type=FLOAT)).SerializeToString()
    for _ in range(300):
        sequence = wired(1, kind)
        kind = wired(4, sequence)
    graph = wired(11, wired(1, b"x") + wired(2, kind)) + wired(12, wired(1, b"y"))
    return b"\x08\x08" + wired(7, graph)


@hostile(USAGE, says="without a fixed size")
def dimension_moves_the_cursor() -> ModelProto:
    return model(inputs=[value(shape=[ESCAPES, 3])], outputs=[value("y", None)])


@hostile(USAGE, says="without a fixed size")
def dimension_of_100000_letters() -> ModelProto:
    return model(inputs=[value(shape=["d" * 100_000, 3])], outputs=[value("y", None)])


@hostile(USAGE, says="without a fixed size")
def dimension_nested_deeply() -> ModelProto:
    return model(inputs=[value(shape=["(" * 400 + "a" + ")" * 400, 3])], outputs=[value("y", None)])


@hostile(USAGE, says="without a fixed size")
def dimension_that_grows() -> ModelProto:
    return model(inputs=[value(shape=["9**9**9**9**9*a", 3])], outputs=[value("y", None)])


@hostile(USAGE, says="without a fixed size")
def dimension_of_superscripts() -> ModelProto:
    return model(inputs=[value(shape=["a + \u00b2", "\u0661*b"])], outputs=[value("y", None)])


# Weights


def _weight(name: str, says: str = "", *endings: str, **members: Any) -> None:
    add(
        f"weight_{name}",
        lambda folder: written(folder, with_weight(TensorProto(name="w", **{"data_type": FLOAT, **members}))),
        endings or (MODEL_ERROR,),
        says,
    )


_weight("shorter_than_its_shape", dims=[2, 3], raw_data=bytes(8))
_weight("longer_than_its_shape", dims=[2, 3], raw_data=bytes(800))
_weight("without_data", dims=[2, 3])
_weight("of_negative_size", dims=[-2, 3], raw_data=bytes(24))
_weight("overflows", dims=[HUGE, 4, 4], raw_data=bytes(24))
_weight("of_terabytes_without_data", dims=[2**20, 2**20])
_weight("of_70_dimensions", "", MODEL_ERROR, USAGE, MEASURED, dims=[1] * 70, raw_data=bytes(4))
_weight("of_unknown_type", dims=[2, 3], data_type=99, raw_data=bytes(24))
_weight("of_undefined_type", dims=[2, 3], data_type=0, raw_data=bytes(24))
_weight("of_negative_type", dims=[2, 3], data_type=-5, raw_data=bytes(24))
_weight("of_text_as_bytes", dims=[2, 3], data_type=TensorProto.STRING, raw_data=bytes(24))
_weight("of_another_type", dims=[2, 3], data_type=TensorProto.INT4, raw_data=bytes(3))


@hostile(MODEL_ERROR, MEASURED)
def weight_twice() -> ModelProto:
    one = helper.make_tensor("w", FLOAT, [2, 3], [1.0] * 6)
    return model([helper.make_node("Add", ["x", "w"], ["y"])], weights=[one, one])
