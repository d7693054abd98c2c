"""The arguments of runtimes: they take effect, are recorded, and are refused where they are impossible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import isobench
from isobench import api
from isobench.environments import Environment, adopted, provision, specs
from isobench.errors import UsageError
from isobench.reports import table
from isobench.results import Failed, Measured, Result, compare

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def environments(home: Path, provisioned: Callable[[str], Environment]) -> None:
    provisioned("ort")
    provisioned("openvino")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two branches of matrices between a dynamic batch of numbers and their sum; bf16 would be seen in the outputs."""
    numbers = np.random.default_rng(0)
    weights = [numpy_helper.from_array(numbers.standard_normal((64, 64), np.float32), name) for name in ("v", "w")]
    nodes = [
        helper.make_node("MatMul", ["x", "v"], ["left"]),
        helper.make_node("MatMul", ["x", "w"], ["right"]),
        helper.make_node("Add", ["left", "right"], ["y"]),
    ]
    given, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 64]) for name in ("x", "y"))
    graph = helper.make_graph(nodes, "branches", [given], [made], weights)
    path = tmp_path / "branches.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def measure(model: Path, runtime: str = "ort", *, threads: int = 2, **rt_args: Any) -> Result:
    return isobench.benchmark(
        model, runtime=runtime, rt_args=rt_args, threads=threads, dimensions={"batch": 8}, iterations=20
    )


def measured(model: Path, runtime: str = "ort", *, threads: int = 2, **rt_args: Any) -> tuple[Result, Measured]:
    result = measure(model, runtime, threads=threads, **rt_args)
    assert isinstance(result.outcome, Measured), result.outcome
    assert result.outcome.correctness.ok
    return result, result.outcome


def refusal(model: Path, runtime: str = "ort", *, threads: int = 2, **rt_args: Any) -> Failed:
    outcome = measure(model, runtime, threads=threads, **rt_args).outcome
    assert isinstance(outcome, Failed)
    return outcome


def test_ort_runs_with_the_options_of_its_arguments(model: Path) -> None:
    result, plain = measured(model)
    assert plain.facts["execution_providers"] == ["CPUExecutionProvider"]
    assert (plain.facts["execution_mode"], plain.facts["inter_op_threads"]) == ("sequential", 1)
    assert result.runtime.arguments["graph_optimization"] == "all"
    result, other = measured(model, graph_optimization="none", execution_mode="parallel", spinning=False)
    assert (other.facts["graph_optimization"], other.facts["execution_mode"]) == ("none", "parallel")
    assert other.facts["inter_op_threads"] == 2
    assert other.runs[0].threads["process"] > plain.runs[0].threads["process"], "a pool of its own for the branches"


def test_a_runtimes_own_number_of_threads_is_recorded(model: Path) -> None:
    result, outcome = measured(model, intra_op_threads=1)
    assert (outcome.runs[0].threads["requested"], outcome.runs[0].threads["runtime"]) == (1, 1)
    assert not [reason for reason in outcome.verdict.reasons if "requested" in reason]
    assert "ort: its arguments request 1 thread, which overrides --threads" in table.run_table([result])


def test_ort_never_falls_back_silently(model: Path) -> None:
    absent = refusal(model, execution_provider="CUDAExecutionProvider")
    assert "this build of ONNX Runtime has no CUDAExecutionProvider" in absent.message
    assert "CPUExecutionProvider" in absent.hint
    # It is there in every build, and runs nothing of an ordinary model: all would be left to the CPU.
    fallen = refusal(model, execution_provider="AzureExecutionProvider")
    assert fallen.kind == "provider-fallback"
    assert "AzureExecutionProvider can't run all of the model" in fallen.message
    alone = refusal(model, threads=1, execution_mode="parallel")
    assert "ONNX Runtime runs the operators in sequence" in alone.message


@pytest.mark.parametrize(
    ("rt_args", "message"),
    [
        ({"graph_optimization": "most"}, "graph_optimization"),
        ({"intra_op_threads": 0}, "intra_op_threads must be at least 1, got 0"),
        ({"inter_op_threads": 2}, "inter_op_threads needs execution_mode::parallel"),
        ({"execution_mode": "parallel", "inter_op_threads": 1}, "inter_op_threads must be at least 2, got 1"),
    ],
)
def test_impossible_arguments_of_ort_are_refused_before_any_work(
    model: Path, rt_args: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        measure(model, **rt_args)
    assert message in caught.value.message


def test_openvino_computes_in_f32_on_the_requested_threads(model: Path) -> None:
    for threads in (1, 2):
        result, outcome = measured(model, "openvino", threads=threads)
        assert outcome.facts["precision"] == "f32"
        assert set(outcome.facts["precisions_of_layers"]) == {"f32"}
        assert outcome.runs[0].threads["runtime"] == threads
        assert not [reason for reason in outcome.verdict.reasons if "requested" in reason]
    assert result.runtime.version == outcome.facts["openvino"].split("-")[0]
    assert result.environment is not None
    assert result.environment.name == "openvino"
    assert outcome.runs[0].cold_start.compile_s is not None
    assert outcome.facts["reshaped"] is True, "the batch is dynamic in the file"


def test_openvino_uses_another_precision_only_on_request_and_records_it(model: Path) -> None:
    for precision in ("bf16", "f16"):
        outcome = measure(model, "openvino", precision=precision).outcome
        if isinstance(outcome, Failed):  # this CPU can't
            assert outcome.kind == "precision"
            assert f"requested: {precision}" in outcome.message
        else:
            assert outcome.facts["precision"] == precision
            assert not outcome.correctness.ok, "sums of 64 products differ in the third digit"
    chosen = measure(model, "openvino", precision="auto").outcome
    assert isinstance(chosen, Measured)
    assert chosen.facts["precision"] in {"f32", "bf16", "f16"}


def test_openvino_reports_a_model_that_it_can_not_read(tmp_path: Path) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in ("x", "y"))
    node = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[0.0, 0.0], scale=[2.0, 2.0])
    graph = helper.make_graph([node], "of-ort", [x], [y])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "of-ort.onnx")
    outcome = isobench.benchmark(tmp_path / "of-ort.onnx", runtime="openvino", iterations=20).outcome
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.cause) == ("unsupported-operator", "ai.onnx.ml.Scaler")
    assert "OpenVINO can't read the model: " in outcome.message
    assert "Scaler" in outcome.message


@pytest.fixture
def adopted_ort(provisioned: Callable[[str], Environment], monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    """An interpreter with an older ONNX Runtime, adopted as `ort`."""
    monkeypatch.setenv("ISOBENCH_ENVS", str(Path(__file__).parents[1] / "samples" / "envs"))
    environment = adopted.adopt(specs.spec("ort"), provisioned("older-ort").python, progress=print)
    yield environment
    provision.remove(environment, progress=print)


def test_one_model_is_compared_in_two_environments(model: Path, adopted_ort: Environment) -> None:
    plan = api.plan(
        [str(model)],
        runtimes=["ort", "ort@older-ort", f"ort@{adopted_ort.folder.name}"],
        dimensions={"batch": 8},
        interleaved=True,
        min_time_s=0.1,
        max_time_s=1.0,
        threads=1,
    )
    saved = list(api.measure(plan))
    own, by_name, by_folder = (one.result for one in saved)
    named = [one.environment for one in (own, by_name, by_folder) if one.environment]
    assert [one.name for one in named] == ["ort", "older-ort", "ort"]
    assert [one.provider for one in named] == ["venv", "venv", "adopted"]
    assert own.runtime.version != by_name.runtime.version == by_folder.runtime.version == "1.22.1"
    assert all(one.ok for one in (own, by_name, by_folder))
    found = compare.compare(*saved[:2])
    assert found.paired
    assert (found.first, found.second) == ("ort", "ort@older-ort")
    assert found.differences == ()
    lacking = measure(model, "ort@openvino").outcome
    assert isinstance(lacking, Failed)
    assert "ort@openvino can't run: the environment openvino contains no onnxruntime" in lacking.message


def test_an_operator_that_ort_does_not_have_is_named_with_the_way_out(tmp_path: Path) -> None:
    given, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [8]) for name in ("x", "y"))
    node = helper.make_node("Frobnicate", ["x"], ["y"], domain="com.acme")
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.acme", 1)]
    path = tmp_path / "custom.onnx"
    graph = helper.make_graph([node], "custom", [given], [made])
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)

    def failed(**rt_args: Any) -> Failed:
        outcome = isobench.benchmark(path, runtime="ort", rt_args=rt_args, iterations=20).outcome
        assert isinstance(outcome, Failed)
        return outcome

    without = failed()
    assert (without.kind, without.cause) == ("unsupported-operator", "com.acme:Frobnicate")
    assert "the operator Frobnicate of the domain com.acme, which ONNX Runtime doesn't have" in without.message
    assert without.hint.endswith("--rt-args custom_op_library::PATH")
    (tmp_path / "ops.so").write_bytes(b"no library")
    other = failed(custom_op_library=tmp_path / "ops.so")
    assert (other.kind, "can't load custom_op_library" in other.message) == ("bad-argument", True)
