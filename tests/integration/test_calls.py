"""Models as a script calls them: in contexts, by threads, in several shapes, with state that a call changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import isobench
from isobench import builds, environments
from isobench.builds import Build
from isobench.environments import Environment
from isobench.errors import ModelError
from isobench.planning.models import Model
from isobench.planning.settings import Settings

pytestmark = pytest.mark.integration

SCRIPTS = Path(__file__).parents[1] / "samples" / "scripts"


@pytest.fixture(autouse=True)
def own_home(home: Path, provisioned: Callable[[str], Environment]) -> None:
    provisioned("torch")
    provisioned("ort")


def make(name: str, *script_args: str, onnx: bool = False) -> dict[str, Build]:
    """The builds of a script by their own names."""
    model = Model(path=SCRIPTS / f"{name}.py", script_args=script_args)
    environment = environments.find(environments.spec("torch"))
    assert environment is not None
    settings = Settings(threads=1, timeout_s=120)
    made = builds.make(model, onnx=onnx, environment=environment, settings=settings, on_stage=lambda _: None)
    return {build.name.removeprefix(f"{name}."): build for build in made}


def test_models_are_called_as_the_script_called_them() -> None:
    made = make("calls_of_every_kind")
    # Both threads were in a model at the same time; parametrizations and failed calls are no models.
    assert set(list(made)[:2]) == {"Threaded[2x4]", "Threaded[2x8]"}
    assert list(made)[2:] == [
        "Gradient",
        "Sequential",
        "Streams",
        "Activated[activation=relu]",
        "Activated[activation=gelu]",
        "Activated[activation=lambda(sigmoid; None)]",
        "Picky",
        "ParametrizedConv1d",
        "ParametrizedLinear",
    ]
    assert made["Gradient"].calling.grad_mode == "grad"
    assert made["Picky"].calling.grad_mode == "inference_mode"
    assert made["Sequential"].signature == "(float32[2, 4]) in autocast(cpu, bfloat16)"
    assert made["Picky"].signature == "(float32[2, 4])", "the first call failed"
    assert set(made["Streams"].calling.renewed) == {"args.0", "last", "steps", "seen"}, "table is filled only once"
    assert any("a call changes args.0" in note for note in made["Streams"].notes)
    streams = isobench.benchmark(
        f"{SCRIPTS / 'calls_of_every_kind.py'}::{made['Streams'].hash}", runtime="torch-eager", iterations=20, warmup=9
    ).outcome
    assert streams.status == "measured", "from a state of its own, each of the calls works"
    assert streams.correctness.ok
    autocast = isobench.benchmark(
        f"{SCRIPTS / 'calls_of_every_kind.py'}::{made['Sequential'].hash}",
        runtime="torch-eager",
        iterations=2,
        warmup=1,
    ).outcome
    assert autocast.facts["context"] == "autocast(cpu, bfloat16)"
    assert autocast.correctness.ok
    on_ort = isobench.benchmark(
        f"{SCRIPTS / 'calls_of_every_kind.py'}::{made['Sequential'].hash}", runtime="ort"
    ).outcome
    assert on_ort.message.startswith("ONNX Runtime has no Gemm (opset "), "the exported model computes in bfloat16, too"
    assert "bfloat16" in on_ort.hint


def test_each_shape_is_a_case_and_many_shapes_are_cut_with_a_note() -> None:
    found = isobench.discover(SCRIPTS / "shapes.py")
    swept = [model for model in found if model.name.startswith("Swept")]
    assert [(model.name, model.parameters) for model in swept] == [
        ("Swept[float32 1x4]", 30),
        ("Swept[float64 1x4]", 30),
        ("Swept[float32 1x4]#2", 55),
        ("Swept[float32 3x4]", 30),
    ]
    assert len({model.hash for model in found}) == len(found) == 4 + 16
    assert swept[-1].invocations == 50


def test_containers_of_every_kind_reach_torch_and_onnx_with_shared_tensors_and_layouts() -> None:
    [takes] = make("containers", onnx=True).values()
    assert [spec.name for spec in takes.inputs] == [
        "args.0.x", "args.0.index", "args.1.x", "args.2.0", "args.3.x", "args.4.0", "args.6",
    ]  # fmt: skip
    assert takes.onnx is not None, takes.onnx_error
    assert [one.source for one in takes.onnx.outputs] == [
        "output.0.x",
        "output.0.index",
        "output.1.complex",
    ]


def test_one_bad_model_leaves_its_neighbours_alone() -> None:
    made = make("good_and_bad", onnx=True)
    made["Linear"].require_onnx()
    with pytest.raises(ModelError, match=r"Once raised an exception when it was called again .* only once"):
        made["Once"].require()
    made["Talks"].require()
    made["Sparse"].require()
    with pytest.raises(
        ModelError, match=r"Sparse can't be exported to ONNX: ONNX has no operator for aten\._sparse_addmm"
    ):
        made["Sparse"].require_onnx()
    with pytest.raises(ModelError, match="Yields returns a generator, which computes nothing until it is read"):
        made["Yields"].require()
    again, once = (build for name, build in made.items() if name.startswith("Stacks"))
    with pytest.raises(ModelError, match=r"the input args\.0 of Stacks.* is a generator, which one call uses up"):
        once.require()
    assert (
        "the script calls Other.encode directly, which isn't measured: call the model itself, model(x)" in again.notes
    )
    with pytest.raises(ModelError, match="Talks can't be exported to ONNX: it returns no tensors, but a str"):
        made["Talks"].require_onnx()


def test_a_model_whose_attributes_differ_in_each_run_is_found_again(tmp_path: Path) -> None:
    script = tmp_path / "named.py"
    script.write_text(
        "import time, torch\nclass Named(torch.nn.Linear):\n    pass\n"
        "for width in (1, 2):\n    named = Named(2, 2)\n    named.made_s = time.perf_counter() % 1\n"
        "    named.eval()(torch.ones(1, 2))\n"
    )
    for result in isobench.benchmark_all([script], runtimes=["torch-eager"], iterations=2, warmup=1):
        assert result.outcome.status == "measured", result.outcome
        assert result.outcome.correctness.ok


def test_training_mode_is_kept_where_the_script_chose_it_and_noted_where_it_matters() -> None:
    made = make("modes", onnx=True)
    assert made["Drops"].notes == ("the script never calls eval(), so the model is measured in eval()",)
    made["Drops"].require_onnx()
    assert made["Sequential"].notes[0] == "the script calls it in training mode, so it is measured in training mode"
    with pytest.raises(ModelError, match=r"training mode, where batch norm .* call model\.eval\(\) before"):
        made["Sequential"].require_onnx()
    assert made["Linear"].notes == ()


@pytest.mark.parametrize("method", ["forward", "encode"])
def test_a_script_that_calls_a_method_and_not_the_model_is_refused(method: str) -> None:
    with pytest.raises(ModelError, match=rf"the script calls Net\.{method}") as caught:
        make("calls_forward", method)
    assert "model(x)" in caught.value.hint
    assert "(Sequential)" in caught.value.hint
