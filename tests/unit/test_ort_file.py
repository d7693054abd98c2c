"""Files in ONNX Runtime's own format: what the host knows of them without reading them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isobench import api
from isobench.builds import model_inputs, ort_file, sizes
from isobench.errors import ModelError, UsageError
from isobench.executors.cases import refusal
from isobench.planning import selection
from isobench.planning.models import Model
from isobench.runtimes import registry
from isobench.system.devices import Device

MODEL = Model(path=Path("m.ort"))


def entry(name: str, kind: str, shape: list[Any] | None = None) -> dict[str, Any]:
    return {"name": name, "kind": kind, "shape": shape or []}


def test_the_signature_is_that_of_the_session() -> None:
    inputs = [
        entry("x", "tensor(float)", ["batch", 4, None]),
        entry("half", "tensor(bfloat16)", [2]),
        entry("small", "tensor(float8e4m3fn)", [2]),
        entry("text", "tensor(string)", [1]),
        entry("many", "seq(tensor(int64))"),
        entry("maybe", "optional(tensor(double))", [3]),
    ]
    found = ort_file.of_signature(MODEL, inputs, [entry("y", "seq(map(string,tensor(float)))")])
    assert [str(spec) for spec in found.inputs] == [
        "x: float32[?, 4, ?]",
        "half: bfloat16[2]",
        "small: float8_e4m3fn[2]",
        "text: string[1]",
        "many: sequence(int64)[]",
        "maybe: optional(float64)[3]",
    ]
    assert found.symbols["x"] == ("batch", "", "")
    assert [spec.dtype for spec in found.outputs] == ["sequence(map(string, float32))"]


def test_its_sizes_are_fixed_as_those_of_an_onnx_file() -> None:
    found = ort_file.of_signature(MODEL, [entry("x", "tensor(float)", ["n", 4])], [entry("y", "tensor(float)")])
    assert [spec.shape for spec in sizes.settle(found, {"n": 3}, {})] == [(3, 4)]
    with pytest.raises(UsageError, match="without a fixed size"):
        sizes.settle(found, {}, {})


def test_a_type_that_is_not_supported_is_named() -> None:
    with pytest.raises(ModelError, match=r"m\.ort: x has the type sparse_tensor\(float\), which isn't supported"):
        ort_file.of_signature(MODEL, [entry("x", "sparse_tensor(float)", [2])], [])


def test_it_is_a_model_that_only_onnx_runtime_takes(tmp_path: Path) -> None:
    path = tmp_path / "m.ort"
    path.write_bytes(b"\0\0\0\0ORTM")
    [model] = selection.select([str(path)])
    assert model.is_ort_format
    assert not model.is_script
    plan = api.plan([path], runtimes=["ort", "openvino", "torch-eager"], device="x86")
    reasons = [refusal(registry.get(choice, Device(family="x86")), model) for choice in plan.runtimes]
    assert [str(reason) if reason else None for reason in reasons] == [
        None,
        "openvino can't run m.ort: only ONNX Runtime reads its format",
        str(reasons[2]),
    ]
    assert "PyTorch module of a script" in str(reasons[2])


def test_its_inputs_can_not_be_listed_without_onnx_runtime() -> None:
    with pytest.raises(UsageError, match=r"the inputs of m\.ort can't be listed"):
        model_inputs.of_onnx(MODEL, 0)
