"""Every command with words that nobody should type: each call ends with a documented exit code and a message.

The commands run in this process as far as they get: the models that they name can't be built.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import click
import numpy as np
import pytest
from called import check
from fuzzing import fuzz
from onnx_forms import external, model, value, written

from isobench.cli.main import cli

pytestmark = pytest.mark.integration

SUITE = 'schema = "isobench.suite/1"\nmodels = ["../../../good.onnx"]\nruntimes = ["ort"]\n'
LEFT_OUT = {
    "doctor",  # takes seconds
    "env adopt",
    "env create",  # install
    "env lock",
    "env remove",
    "env verify",
    "plugin new",  # writes wherever a word leads
    "sweep resume",
    "sweep retry",
}
WORDS = (
    *("", " ", "\x1b[2J", "\n", "a\nb", "\t", "x" * 5000, "x" * 300, "\udcff", "\u202e", "\u00e9", "%s", "{0}", "\\"),
    *(
        "nan",
        "inf",
        "-inf",
        "1e400",
        "1e308",
        "1e-400",
        "3e6",
        "-1",
        "-0",
        "0",
        "1",
        "2",
        "1.5",
        "0x10",
        "1_000",
        " 1 ",
    ),
    *("\u00b2", "\u0661", "1\u00b2", "\u00bd", "\u2460", "9" * 400, "9" * 5000, "-" + "9" * 400, "2147483648", "1e3"),
    *(
        "..",
        "../..",
        "/proc/self/mem",
        "/dev/zero",
        "/dev/null",
        "/proc/1/root",
        "~",
        "~nobody",
        "fifo",
        "loop",
        "folder",
    ),
    *(
        "*",
        "[",
        "[]",
        "[a",
        "[!",
        "**/*",
        "::",
        "a::",
        "::b",
        "a::b::c",
        "=",
        "a=",
        "=b",
        "a=b",
        "@",
        "a@",
        "@b",
        "a@b:c",
    ),
    *(
        "0-99999999999",
        "0-",
        "3-1",
        "0,0,0",
        "1,,2",
        "0-\u00b2",
        "1%",
        "0%",
        "nan%",
        "inf%",
        "\u00b2%",
        "100%",
        "1e-400%",
    ),
    *(
        "--",
        "-",
        "--help",
        "'",
        '"',
        "'a",
        "a\\",
        "$(x)",
        "`x`",
        "[1",
        "[1,2]",
        "{",
        "[" * 3000,
        "{'a':" * 2000,
        "()" * 99,
    ),
    *(
        "n=1,2",
        "x=1,3",
        "n=\u00b2",
        "n=1000000000",
        "n=99999999999999999999",
        "x=-1,3",
        "x=[",
        "x=[]",
        "x=ones",
        "x=nan",
    ),
    *(
        "x=uniform:nan..inf",
        "x=uniform:0..1e400",
        "x=uniform:5..1",
        "x=normal",
        "x=@",
        "x=@/dev/zero",
        "x=@fifo",
        "x=@.",
    ),
    *(
        "import=1",
        "compile=nan",
        "measure=1e400,compile=1",
        "1K",
        "9" * 30 + "G",
        "\u0661G",
        "1d",
        "9999999999d",
        "::-1",
    ),
    *(
        "bad.onnx",
        "open.onnx",
        "list.txt",
        "suite.toml",
        "fifo.npy",
        "x.npy",
        "torch-eager",
        "ort",
        "ort@",
        "ort@/dev/null",
    ),
    *(
        "ort:a",
        "ort:a=b",
        "ort:" + "[" * 3000,
        "cpu",
        "x86::a::b",
        "nvidia::" + "x" * 300,
        "spinning::1",
        "a::" + "9" * 5000,
    ),
)


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, (*path, name))


COMMANDS = [(path, command) for path, command in commands(cli) if " ".join(path) not in LEFT_OUT]


@pytest.fixture
def place(ort_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with something of each kind; `..` leads to nothing of others."""
    folder = ort_home.parent / "some" / "deep" / "folder"
    (folder / "folder").mkdir(parents=True)
    written(folder, external("missing.bin"), "bad.onnx")
    open_size = external("missing.bin")
    open_size.graph.input[0].CopyFrom(value(shape=["n", 3]))
    written(folder, open_size, "open.onnx")
    written(ort_home.parent, model(), "good.onnx")  # no word leads there: nothing is measured
    (folder / "list.txt").write_text("bad.onnx\nopen.onnx\n")
    (folder / "suite.toml").write_text(SUITE)
    np.save(folder / "x.npy", np.zeros((2, 3), np.float32))
    (folder / "loop").symlink_to("loop")
    for name in ("fifo", "fifo.npy"):
        os.mkfifo(folder / name)
    monkeypatch.chdir(folder)
    return folder


def test_the_files_are_whole_before_the_accidents(place: Path) -> None:
    assert place.is_dir()
    assert "1 case of 1 model on 1 runtime" in check("sweep", "--dry-run", "suite.toml").output
    assert "given: x.npy" in check("inputs", "../../../good.onnx", "--inputs", "x.npy").output
    found = check("run", "-r", "ort", "list.txt", "--dim", "n=2")
    assert found.output.count("failed: model-error") == 2, "as weights are missing"


def test_no_word_on_the_command_line_ends_in_a_traceback_or_a_hang(place: Path) -> None:
    assert place.is_dir()

    def trial(random: Random) -> None:
        path, command = random.choice(COMMANDS)
        check(*path, *arguments(path, command, random))

    fuzz(trial, seconds=5)


def arguments(path: tuple[str, ...], command: click.Command, random: Random) -> list[str]:
    """Some of the command's options and arguments; of what it can't do without, all, and mostly what suits it."""
    options: list[str] = []
    words: list[str] = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            count = random.choice((0, 1, 1, 2, 3)) if parameter.nargs == -1 else 1
            words += [_model(path, random) for _ in range(count)]
        elif random.random() < 2 / len(command.params):
            name = random.choice((*parameter.opts, *parameter.secondary_opts))
            is_flag = isinstance(parameter, click.Option) and parameter.is_flag
            options += [name] if is_flag else _given(name, _word(random), random)
    if path in {("sweep", "start"), ("run-case",)}:
        options.append("--dry-run" if path[0] == "sweep" else "--attempt=1")
    return [*options, *random.choice(([], ["--"])), *words]


def _given(name: str, word: str, random: Random) -> list[str]:
    return [f"{name}={word}"] if name.startswith("--") and random.random() < 0.8 else [name, word]


def _model(path: tuple[str, ...], random: Random) -> str:
    usual = {"sweep": "suite.toml", "list": "", "discover": "bad.onnx"}.get(
        path[0], random.choice(("bad.onnx", "open.onnx"))
    )
    return usual if random.random() < 0.6 else _word(random)


def _word(random: Random) -> str:
    chosen = random.choice(WORDS)
    return chosen if random.random() < 0.8 else (chosen[:600] + random.choice(WORDS)[:600])
