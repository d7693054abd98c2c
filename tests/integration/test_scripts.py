"""Scripts, run and watched in the real torch environment: which models they call, and every way to call none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import isobench
from isobench.environments import Environment
from isobench.errors import IsobenchError, ModelError, UsageError, WorkerError
from isobench.planning.models import TensorSpec
from isobench.results import Measured

pytestmark = pytest.mark.integration

SCRIPTS = Path(__file__).parents[1] / "samples" / "scripts"
EXAMPLES = Path(__file__).parents[2] / "examples" / "models"


@pytest.fixture(autouse=True)
def torch_environment(home: Path, provisioned: Callable[[str], Environment]) -> Environment:
    provisioned("ort")
    return provisioned("torch")


def refused(name: str, kind: type[IsobenchError] = ModelError) -> IsobenchError:
    with pytest.raises(kind) as caught:
        isobench.discover(SCRIPTS / f"{name}.py")
    return caught.value


def test_every_model_that_a_script_calls_is_listed_with_its_inputs() -> None:
    perceptron, tagger = isobench.discover(EXAMPLES / "two_models.py")
    assert (perceptron.name, perceptron.parameters, perceptron.invocations) == ("Perceptron", 85002, 1)
    assert perceptron.signature == "(float32[16, 64])"
    assert perceptron.instantiated_at == "two_models.py:35"
    assert tagger.signature == "(int64[4, 20], mask=bool[4, 20])"
    assert tagger.inputs == (
        TensorSpec(name="args.0", dtype="int64", shape=(4, 20)),
        TensorSpec(name="kwargs.mask", dtype="bool", shape=(4, 20)),
    )


def test_a_models_hash_is_the_same_on_every_machine() -> None:
    # Neither addresses, nor paths, nor the values of weights may have a say in them.
    assert [entry.hash for entry in isobench.discover(EXAMPLES / "two_models.py")] == ["e01e279c", "b4b5ecef"]


def test_sub_models_are_listed_down_to_the_requested_depth() -> None:
    found = isobench.discover(EXAMPLES / "two_models.py", max_depth=2)
    assert [(entry.name, entry.depth) for entry in found][:3] == [
        ("Perceptron", 0),
        ("Sequential", 1),
        ("Linear", 2),
    ]
    assert next(entry for entry in found if entry.name == "GRU").parent == found[-4].hash


def test_arguments_reach_the_script() -> None:
    [resnet] = isobench.discover(EXAMPLES / "resnet.py", script_args=["--batch_size=3"])
    assert resnet.signature == "(float32[3, 3, 224, 224])"


def test_inputs_of_every_kind_are_described() -> None:
    [nested] = isobench.discover(SCRIPTS / "nested.py")
    assert nested.signature == (
        "(float32[2, 4], (float32[2, 4], float64[2, 4]), {halves: [float16[2, 4], bfloat16[2, 4]], fill: (int32[1])}, "
        "None, scale=2.5, mode='mean', flags={keep: bool[2, 4]}, masks=(int8[2, 4], uint8[2, 4], int16[2, 4], "
        "float64[2, 4]))"
    )
    names = [spec.name for spec in nested.inputs]
    assert names[:4] == ["args.0", "args.1.left", "args.1.right", "args.2.halves.0"]


def test_wrappers_are_looked_through_and_instances_of_one_architecture_are_one_model() -> None:
    found = isobench.discover(SCRIPTS / "wrapped.py")
    assert [(entry.name, entry.invocations, entry.instances, entry.is_case) for entry in found] == [
        ("Net[3x4]", 4, 2, True),
        ("CrossEntropyLoss", 3, 1, False),
        ("ReLU", 1, 1, False),
        ("Net[5x4]", 1, 1, True),
    ]


def test_a_model_that_is_never_called_is_reported_with_its_line() -> None:
    error = refused("never_called")
    assert error.message == (
        "never_called.py creates a model, but never calls it: "
        "Sequential (never_called.py:3), Linear (never_called.py:4)"
    )
    assert "model(inputs)" in error.hint


def test_a_scripts_folder_may_contain_modules_with_names_of_ours(tmp_path: Path) -> None:
    script = tmp_path / "model.py"
    lines = ["import torch"]
    for number, name in enumerate(("resource_limits", "harness", "script_model", "pytrees")):
        (tmp_path / f"{name}.py").write_text(f"WIDTH = {number + 1}\n")
        lines += [f"import {name}", f"torch.nn.Linear({name}.WIDTH, 1)(torch.zeros(1, {name}.WIDTH))"]
    script.write_text("\n".join(lines))
    assert [entry.signature for entry in isobench.discover(script)] == [
        f"(float32[1, {width}])" for width in (1, 2, 3, 4)
    ]


def test_a_script_that_would_use_a_gpu_finds_none_when_the_cpu_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    script = tmp_path / "takes_a_gpu.py"
    model = "torch.nn.Linear(1, 1 + len(os.environ['CUDA_VISIBLE_DEVICES']))"
    script.write_text(f"import os, torch\n{model}(torch.zeros(1, 1))\n")
    [found] = isobench.discover(script)
    assert found.parameters == 2
    outcome = isobench.benchmark(script, runtime="torch-eager", iterations=20).outcome
    assert outcome.status == "measured"


def test_a_script_without_a_model_is_reported() -> None:
    error = refused("no_model")
    assert error.message == "no_model.py creates no torch.nn.Module"
    assert error.exit_code == 3


def test_a_script_that_raises_is_shown_with_only_its_own_traceback() -> None:
    error = refused("raises")
    assert error.message == "raises.py raised KeyError: 'out'"
    assert 'return {"in": 3}["out"]' in error.details
    assert "widths()" in error.details
    assert "observe.py" not in error.details
    assert "runpy" not in error.details


def test_a_model_that_raises_is_shown_without_our_frames() -> None:
    error = refused("raises_inside")
    assert error.message == "raises_inside.py raised ValueError: three rows, please"
    assert "in forward" in error.details
    assert "observe.py" not in error.details


def test_a_script_that_exits_without_its_arguments_is_shown_with_its_output() -> None:
    error = refused("exits")
    assert error.message == "exits.py called sys.exit(2) before it ended"
    assert "exits.py: error: the following arguments are required: --width" in error.details
    assert "parse_args().width" in error.details
    assert "argparse.py" not in error.details
    assert "--script-args" in error.hint
    [linear] = isobench.discover(SCRIPTS / "exits.py", script_args=["--width", "5"])
    assert linear.signature == "(float32[2, 5])"


def test_a_script_that_exits_before_it_calls_a_model_is_reported() -> None:
    assert refused("leaves_early").message == "leaves_early.py called sys.exit() before it called a model"


def test_a_flood_of_output_does_not_bury_the_error() -> None:
    error = refused("prints_megabytes")
    assert error.message == "prints_megabytes.py raised RuntimeError: after all that"
    assert len(error.details) < 1000


def test_a_missing_package_is_reported_with_the_block_that_installs_it() -> None:
    error = refused("needs_a_package")
    assert "needs_a_package.py needs the package a_package_that_nobody_has" in error.message
    assert '# dependencies = ["a_package_that_nobody_has"]' in error.hint


def test_a_syntax_error_is_reported_with_its_line(tmp_path: Path) -> None:
    script = tmp_path / "no_python.py"
    script.write_text("def broken(:\n")
    with pytest.raises(ModelError, match=r"no_python\.py raised SyntaxError") as caught:
        isobench.discover(script)
    assert "def broken(:" in caught.value.details


def test_a_script_that_never_ends_is_stopped() -> None:
    with pytest.raises(WorkerError) as caught:
        isobench.discover(SCRIPTS / "never_ends.py", timeout_s=6)
    assert "was killed after 6 s (--timeout) while running the script" in caught.value.message


def test_an_unknown_hash_is_reported_with_the_known_ones() -> None:
    result = isobench.benchmark(f"{EXAMPLES / 'two_models.py'}::ffff", runtime="torch-eager")
    assert result.outcome.status == "failed"
    assert "the script calls no model with the hash ffff" in result.outcome.message
    assert "e01e279c (Perceptron), b4b5ecef (Tagger)" in result.outcome.hint


def test_a_model_finds_its_scripts_world_when_it_is_measured_and_the_scripts_own_compiler_is_not_used() -> None:
    script = SCRIPTS / "a_world_of_its_own.py"
    for runtime, arguments in (("torch-eager", {}), ("torch-compiled", {"backend": "eager"})):
        result = isobench.benchmark(script, runtime=runtime, rt_args=arguments, iterations=1, warmup=1, select=False)
        assert isinstance(result.outcome, Measured), result.outcome
        assert result.outcome.correctness.ok
        assert result.outcome.facts["script_compiles"] is True
        assert runtime == "torch-eager" or result.outcome.facts["graphs"] > 0
        assert "the script calls torch.compile" in result.model.notes[0]


def test_a_variable_reaches_a_script_if_it_is_passed_on_and_is_named_if_not(monkeypatch: pytest.MonkeyPatch) -> None:
    script = SCRIPTS / "reads_a_variable.py"
    monkeypatch.setenv("MODEL_WIDTH", "6")
    options: dict[str, Any] = {"runtime": "torch-eager", "iterations": 1, "warmup": 1, "select": False}
    without = isobench.benchmark(script, **options)
    assert (without.model.signature, without.model.env) == ("(float32[1, 4])", {})
    assert any(note.endswith("use --env MODEL_WIDTH") for note in without.model.notes)
    passed = isobench.benchmark(script, env={"MODEL_WIDTH": "5"}, **options)
    assert isinstance(passed.outcome, Measured), passed.outcome
    assert (passed.model.signature, passed.model.env) == ("(float32[1, 5])", {"MODEL_WIDTH": "5"})
    assert passed.outcome.correctness.ok
    assert not passed.model.notes
    assert passed.case_key != without.case_key


def test_torch_script_is_exported_with_its_branches_and_not_compiled() -> None:
    script = SCRIPTS / "torch_script.py"
    result = isobench.benchmark(script, runtime="ort", iterations=1, warmup=1, select=False)
    assert isinstance(result.outcome, Measured), result.outcome
    assert result.outcome.correctness.ok
    refused = isobench.benchmark(script, runtime="torch-compiled", iterations=1, warmup=1, select=False).outcome
    assert not isinstance(refused, Measured)
    assert refused.message == "torch.compile doesn't compile TorchScript, which the script's model is"


def test_discover_refuses_an_onnx_file(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(UsageError, match=r"discover needs a Python script, got .*model\.onnx"):
        isobench.discover(tmp_path / "model.onnx")
