"""Sequences of tools: how they are parsed and checked before anything runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import plugin_world
import pytest

from isobench import api
from isobench.cli.main import main
from isobench.errors import UsageError
from isobench.planning.models import Step
from isobench.planning.settings import Settings
from isobench.runtimes import registry
from isobench.tools import registry as tools
from isobench.tools.benchmark import Benchmark
from isobench.tools.sequence import parse
from isobench.workers import machine

DISCOVERED = "discover export-pytorch"
CPU = machine.cpus()[0]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text("")
    (tmp_path / "file.onnx").write_text("")
    registry.forget()
    yield tmp_path
    registry.forget()


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["isobench", *arguments])
        with pytest.raises(SystemExit) as leaving:
            main()
    captured = capsys.readouterr()
    return int(leaving.value.code or 0), captured.out + captured.err


def test_tools_take_their_own_options_after_their_names() -> None:
    words = "discover --max-depth 1 export-pytorch --opset=17 "
    words += f"benchmark --runtime ort x --rt-args a::1 flag --iterations 5 --precision 1% --cpus {CPU}"
    made = list(parse(words.split(), tools.tools(), tools.sequences()))
    assert [str(Step(tool=tool.name, options=tool.options())) for tool in made[:2]] == [
        "discover --max-depth 1",
        "export-pytorch --opset 17",
    ]
    assert isinstance(made[2], Benchmark)
    options = made[2].plan_options()
    assert {name: options.pop(name) for name in ("runtimes", "device", "rt_args")} == {
        "runtimes": ["ort", "x"],
        "device": "x86",
        "rt_args": {"a": "1", "flag": True},
    }
    assert Settings.of(**options) == Settings.of(iterations=5, precision=0.01, cpus=(CPU,))


def test_a_named_sequence_stands_for_its_tools() -> None:
    made = parse(["optimize-fp16", "benchmark"], tools.tools(), tools.sequences())
    names = [tool.name for tool in made]
    assert names == ["discover", "export-pytorch", "optimize-ort", "convert-fp16", "benchmark"]


@pytest.mark.parametrize(
    ("model", "words", "message", "hint"),
    [
        ("model.py", "export-pytorch discover", "export-pytorch needs the models, with their inputs", "Put discover"),
        ("model.py", "discover convert-fp16", "convert-fp16 needs an ONNX file of each model", "Put export-pytorch"),
        ("model.py", "discover optimize-ort", "optimize-ort needs an ONNX file of each model", "Put export-pytorch"),
        ("model.py", "discover verify-export", "verify-export needs an ONNX file of each model", "Put export-pytorch"),
        ("model.py", "benchmark", "benchmark on ort needs the models, with their inputs", "Put discover before it"),
        ("model.py", "discover benchmark", "benchmark on ort needs an ONNX file of each model", "Put export-pytorch"),
        ("model.py", "load-onnx", "load-onnx needs an .onnx file", "Start with discover for a script."),
        ("file.onnx", "discover", "file.onnx: discover needs a Python script", "Start with load-onnx"),
        ("model.py", f"{DISCOVERED} convert-fp16 convert-fp16", "convert-fp16 is given twice", "Remove one of them"),
        (
            "model.py",
            f"{DISCOVERED} convert-fp16 benchmark --runtime torch-eager",
            "torch-eager runs the script's module, without the changes that convert-fp16 made",
            "such as ort",
        ),
        ("file.onnx", "load-onnx benchmark --runtime torch-eager", "torch-eager can't run it: it runs the", "ort"),
        ("model.py", f"{DISCOVERED} benchmark --runtime trot", "unknown runtime 'trot'", "ort, torch-compiled"),
        ("model.py", f"{DISCOVERED} benchmark --device abacus", "unknown family 'abacus'", "x86"),
        ("model.py", f"{DISCOVERED} benchmark --rt-args x::1", "ort has no argument 'x'", "graph_optimization"),
        ("model.py", f"{DISCOVERED} benchmark --iterations 0", "--iterations must be at least 1, got 0", ""),
        (
            "model.py",
            f"{DISCOVERED} --opset new",
            "export-pytorch: opset must be int or none, got 'new'",
            "Its arguments",
        ),
        ("model.py", f"{DISCOVERED} --colour", "export-pytorch has no argument 'colour'", "Its arguments are: opset"),
        ("model.py", "discover -x", "discover has no option '-x'", "isobench sequence discover -h"),
        ("model.py", "onnx-fp32 --opset 17", "the sequence onnx-fp32 has no option --opset", "one by one"),
        ("model.py", f"{DISCOVERED} optimize-ort --level wild", "level must be", "one of basic, extended, all"),
        ("model.py", "discove", "unknown tool 'discove'; did you mean discover?", "onnx-fp32"),
        ("file.onnx", "load-onnx --dim batch", "'batch' is not NAME=VALUE", "--dim batch=8"),
    ],
)
def test_an_invalid_sequence_is_refused_before_anything_runs(
    model: str, words: str, message: str, hint: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, errors = output_of(capsys, "sequence", "-i", model, *words.split())
    assert code == 2, errors
    assert message in errors
    assert hint in errors
    assert "Traceback" not in errors
    assert not (folder / "home").exists()


def test_options_of_measuring_belong_to_the_benchmark_tool() -> None:
    made = parse([*DISCOVERED.split(), "benchmark"], tools.tools(), tools.sequences())
    with pytest.raises(UsageError, match="a sequence has no option 'iterations'"):
        api.sequence(["model.py"], made, iterations=5)


def test_the_help_lists_the_tools_and_the_options_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    _, everything = output_of(capsys, "sequence", "-h")
    for name in ("discover", "load-onnx", "export-pytorch", "optimize-ort", "convert-fp16", "verify-export"):
        assert f"\n  {name} " in everything
    assert "optimize-fp16  discover, export-pytorch, optimize-ort, convert-fp16" in everything
    code, one = output_of(capsys, "sequence", "optimize-ort", "-h")
    assert code == 0
    assert "--level (one of basic, extended, all; default 'basic')" in one


PLUGIN = """
from isobench.tools import Sequence, Tool
from isobench.runtimes.builtin import OrtRT
from isobench.tools.discover import Discover

class Name(Tool):
    name = "mine"
    needs = ("script",)
    def __init__(self, *, times: int = 1) -> None:
        self.times = times
    def run(self, state, work):
        return state

implements = {
    "tools": [Name], "sequences": {"twice": Sequence(tools=[Name(times=1), Name(times=2)])},
    "runtimes": {"ort-bare": {"supported_devices": ["x86"], "RuntimeClass": OrtRT, "default_sequence": %s}},
}
"""


def test_a_plugin_provides_tools_and_sequences(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin_world.install(folder / "site", monkeypatch, PLUGIN % "None")
    assert [tool.options() for tool in parse(["twice", "mine"], tools.tools(), tools.sequences())] == [
        {"times": 1},
        {"times": 2},
        {"times": 1},
    ]
    _, listed = output_of(capsys, "plugins")
    assert "tools      mine\n  sequences  twice" in listed


def test_a_default_sequence_that_does_not_fit_the_model_is_refused_before_anything_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin_world.install(folder / "site", monkeypatch, PLUGIN % "Sequence(tools=[Discover(), Name()])")
    assert api.plan(["model.py"], runtimes=["ort-bare"]).runtimes[0].name == "ort-bare"
    with pytest.raises(UsageError, match=r"file\.onnx: mine needs a Python script"):
        api.plan(["file.onnx"], runtimes=["ort-bare"])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (PLUGIN % "1", "default_sequence must be an isobench.tools.Sequence, got int"),
        ("implements = {'tools': {}}", "'tools' must be a list of classes, got dict"),
        ("implements = {'tools': [1]}", "'tools' must be classes derived from Tool, got 1"),
        (
            "from isobench.tools import Tool\nimplements = {'tools': [Tool]}",
            "the tool Tool has no name, or doesn't implement run()",
        ),
        ("implements = {'sequences': []}", "'sequences' must be a dict, got list"),
        ("implements = {'sequences': {'a': []}}", "the sequence 'a' must be a Sequence, got list"),
    ],
)
def test_a_plugin_with_broken_tools_is_reported_with_the_reason(
    code: str, reason: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin_world.install(folder / "site", monkeypatch, code)
    _, listed = output_of(capsys, "plugins")
    assert reason in listed
    assert "discover" in tools.tools()


def test_two_plugins_with_the_same_tool_are_refused_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (PLUGIN % "None").replace('"mine"', '"discover"').replace('"twice"', '"onnx-fp32"')
    plugin_world.install(folder / "site", monkeypatch, code)
    with pytest.raises(
        UsageError, match=r"two plugins provide a tool 'discover': isobench\.tools\.discover and a_plug"
    ):
        tools.tools()
    with pytest.raises(
        UsageError, match=r"two plugins provide a sequence 'onnx-fp32': isobench\.tools\.builtin and a_"
    ):
        tools.sequences()
