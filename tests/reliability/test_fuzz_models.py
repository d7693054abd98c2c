"""ONNX files with accidents: their inputs are drawn, or they are refused in words, and the call goes on.

The host reads each of them in this process (`isobench inputs`); some are measured by the real worker of ONNX Runtime.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest
from called import check
from fuzzing import fuzz, mangled
from hostile_models import HOSTILE
from onnx import ModelProto, TensorProto, helper
from onnx_forms import FLOAT, constant, external, model, nested, node, value, written

pytestmark = pytest.mark.integration

MEASURED = 16
"""Mangled files that are measured in one call."""


def _shapes() -> ModelProto:
    """Computes sizes: Shape, Gather, Concat, Reshape, Expand; and picks rows of a table by indices that are given."""
    table = helper.make_tensor("table", FLOAT, [5, 2], [0.5] * 10)
    nodes = [
        helper.make_node("Shape", ["ids"], ["shape"]),
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("Concat", ["shape", "two"], ["sizes"], axis=0),
        helper.make_node("Expand", ["rows", "sizes"], ["wide"]),
        helper.make_node("Reshape", ["wide", "flat"], ["y"]),
    ]
    inputs = [value("ids", [3], TensorProto.INT64)]
    return model(
        nodes, inputs=inputs, outputs=[value("y", None)], weights=[table, constant("two", [2]), constant("flat", [-1])]
    )


def _loop() -> ModelProto:
    body = helper.make_graph(
        [helper.make_node("Add", ["v", "v"], ["w"]), helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [value("i", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value("v")],
        [value("on", [], TensorProto.BOOL), value("w")],
    )
    nodes = [helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)]
    return model(nodes, weights=[helper.make_tensor("n", TensorProto.INT64, [], [3])])


def _others() -> ModelProto:
    """A function, a sequence, text, and an operand of each kind that has a rule of its own."""
    made = model(
        [
            helper.make_node("Twice", ["x"], ["t"], domain="own"),
            helper.make_node("TopK", ["t", "k"], ["top", "places"]),
            helper.make_node("Slice", ["top", "from", "to"], ["y"]),
            helper.make_node("SequenceAt", ["many", "at"], ["z"]),
            helper.make_node("Identity", ["words"], ["text"]),
        ],
        inputs=[
            value(),
            value("k", [1], TensorProto.INT64),
            value("from", [1], TensorProto.INT64),
            value("to", [1], TensorProto.INT64),
            helper.make_tensor_sequence_value_info("many", FLOAT, [2]),
            value("at", [], TensorProto.INT64),
            value("words", [2], TensorProto.STRING),
        ],
        outputs=[value("y", None), value("z", None), value("text", [2], TensorProto.STRING)],
    )
    made.opset_import.add(domain="own", version=1)
    twice = helper.make_node("Add", ["a", "a"], ["b"])
    made.functions.append(helper.make_function("own", "Twice", ["a"], ["b"], [twice], [helper.make_opsetid("", 17)]))
    return made


def _whole() -> Mapping[str, bytes]:
    made = {"shapes": _shapes(), "loop": _loop(), "others": _others(), "external": external("w.bin", length="24")}
    made["plain"] = model([node("Abs")])
    return {**{name: one.SerializeToString() for name, one in made.items()}, "nested": nested(5)}


WHOLE = _whole()
OPTIONS = ((), ("--dim", "n=2"), ("--shape", "x=2,3"), ("--fill", "x=ones"), ("--seed", "1"))


@pytest.fixture
def place(ort_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = ort_home.parent
    (folder / "w.bin").write_bytes(bytes(24))
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("name", WHOLE)
def test_the_files_are_whole_before_the_accidents(name: str, place: Path) -> None:
    written(place, WHOLE[name])
    assert check("inputs", "model.onnx").code == 0


def test_the_inputs_of_mangled_files(place: Path) -> None:
    def trial(random: Random) -> None:
        written(place, mangled(random.choice(list(WHOLE.values())), random))
        check("inputs", "model.onnx", *random.choice(OPTIONS))

    fuzz(trial, seconds=4)


def test_mangled_files_are_measured_or_fail_alone(place: Path) -> None:
    def trial(random: Random) -> None:
        files = [written(place, model(), "good.onnx")]
        files += [
            written(place, mangled(random.choice(list(WHOLE.values())), random), f"{number}.onnx")
            for number in range(MEASURED)
        ]
        command = [sys.executable, "-m", "isobench", "run", "-r", "ort", "--json"]
        limits = ["--min-time", "0.01", "--max-time", "0.02", "--timeout", "20"]
        done = subprocess.run([*command, *limits, *files], capture_output=True, check=False, timeout=400)
        assert done.stdout, done.stderr.decode()
        endings = [one["ending"] for one in json.loads(done.stdout)]
        assert len(endings) >= len(files)
        assert endings[0] == "ok"
        assert "internal" not in endings, done.stdout.decode()

    fuzz(trial, seconds=0.1, hang_s=500)


def test_hostile_files_with_accidents(place: Path) -> None:
    bytes_of = {}
    for name, one in HOSTILE.items():
        if not name.startswith(("file_", "name_")):
            (place / name).mkdir()
            bytes_of[name] = one.make(place / name).read_bytes()

    def trial(random: Random) -> None:
        written(place, mangled(random.choice(list(bytes_of.values())), random))
        check("inputs", "model.onnx", *random.choice(OPTIONS))

    fuzz(trial, seconds=4)
