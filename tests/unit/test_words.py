"""`--rt-args` as TurnkeyML's users type it, and the help of `isobench benchmark`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import plugin_world
import pytest

from isobench.cli import words
from isobench.cli.main import cli
from isobench.errors import UsageError
from isobench.runtimes import registry
from isobench.runtimes.keywords import from_words


@click.command(cls=words.WordsCommand)
@click.argument("models", nargs=-1)
@words.RT_ARGS
@click.option("--json", "as_json", is_flag=True)
def command(models: tuple[str, ...], rt_args: tuple[str, ...], as_json: bool) -> object:
    return models, from_words(rt_args), as_json


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    registry.forget()
    yield tmp_path
    registry.forget()


@pytest.mark.parametrize(
    ("arguments", "models", "rt_args"),
    [
        ("--rt-args mode::fast sizes::[1,2] flag m.py", ("m.py",), {"mode": "fast", "sizes": ["1", "2"], "flag": True}),
        ("m.onnx --rt-args sizes::[1, 2] last::", ("m.onnx",), None),
        ("m.onnx --rt-args sizes::[1, 2, 3]", ("m.onnx",), {"sizes": ["1", "2", "3"]}),
        ("--rt-args a::1 m.py::5f2a1c09 n.py", ("m.py::5f2a1c09", "n.py"), {"a": "1"}),
        ("--rt-args a::1 *.onnx", ("*.onnx",), {"a": "1"}),
        ("--rt-args flag there", ("there",), {"flag": True}),
        ("--rt-args=a::1 b::-1 --json m.txt", ("m.txt",), {"a": "1", "b": "-1"}),
        ("--rt-args a::1 --rt-args b m.py", ("m.py",), {"a": "1", "b": True}),
        ("--rt-args empty::[] path::a::b m.py", ("m.py",), {"empty": [], "path": "a::b"}),
    ],
)
def test_words_are_collected_up_to_the_next_option_or_model(
    arguments: str, models: tuple[str, ...], rt_args: dict[str, object] | None
) -> None:
    if rt_args is None:
        with pytest.raises(UsageError, match="'last::' is not an argument"):
            command.main(arguments.split(), standalone_mode=False)
        return
    assert command.main(arguments.split(), standalone_mode=False) == (models, rt_args, "--json" in arguments)


def test_a_value_that_looks_like_a_short_option_stays_a_value() -> None:
    @click.command(cls=words.WordsCommand)
    @click.argument("models", nargs=-1)
    @click.option("-r", "--runtime", "runtimes", multiple=True)
    @click.option("--script-args")
    def other(models: tuple[str, ...], runtimes: tuple[str, ...], script_args: str | None) -> object:
        return models, runtimes, script_args

    typed = ["-r", "ort", "--script-args", "-r", "m.py", "-rtrt", "--runtime=x", "--", "-r"]
    assert other.main(typed, standalone_mode=False) == (("m.py", "-r"), ("ort", "trt", "x"), "-r")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--rt-args", "--rt-args needs at least one NAME::VALUE"),
        ("--rt-args m.py", "--rt-args needs at least one NAME::VALUE"),
        ("--rt-args --json", "--rt-args needs at least one NAME::VALUE"),
        ("--rt-args ::1", "'::1' is not an argument"),
        ("--rt-args a::1 a::2", "the argument 'a' is given twice"),
    ],
)
def test_a_word_that_is_not_an_argument_is_refused(arguments: str, message: str) -> None:
    with pytest.raises((UsageError, click.UsageError)) as caught:
        command.main(arguments.split(), standalone_mode=False)
    assert message in str(caught.value)


PLUGIN = """
from typing import Literal
from isobench.runtimes.worker_rt import WorkerRT

class RT(WorkerRT):
    def __init__(self, *, mode: Literal["safe", "fast"] = "safe", sizes: list[int] | None = None) -> None:
        super().__init__(mode=mode, sizes=sizes)

implements = {"runtimes": {"abacus": {"supported_devices": {"beads": {"wood": ["big"]}}, "RuntimeClass": RT}}}
"""


def test_the_help_of_benchmark_lists_what_is_installed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin_world.install(folder / "good", monkeypatch, PLUGIN)
    plugin_world.install(folder / "bad", monkeypatch, "import a_module_that_nobody_has", package="a_broken_plugin")
    monkeypatch.setattr(sys, "argv", ["isobench"])
    cli(["benchmark", "-h"], standalone_mode=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "x86 ort (default), torch-eager, torch-compiled" in shown
    assert "beads abacus (default)" in shown
    assert "beads::wood abacus; configs: big" in shown
    assert "mode (one of safe, fast; default 'safe'), sizes (list of int or none; default None)" in shown
    assert "Plugins that failed to load: a_broken_plugin. isobench plugins shows the reasons." in shown
