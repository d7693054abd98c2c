"""Each command with each kind of standard stream that can't be written: it does its work, and its exit code says so.

`ISOBENCH_TRIALS=all` tries each command with each stream; without it, each command meets a few of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import shared_home
import small_models

from isobench import results
from isobench.environments import Environment

pytestmark = pytest.mark.integration

ALL = os.environ.get("ISOBENCH_TRIALS") == "all"
BRIEF = ["--iterations", "30", "--warmup", "1"]
FULL = 6
"""The exit code if results can't be written."""
NO_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command as it is typed: its own exit code, how many results it saves, and where it prints."""

    words: tuple[str, ...]
    code: int = 0
    saves: int = 0
    prints: bool = True
    is_slow: bool = False


COMMANDS = {
    "run": Command(words=("run", "m\u00f6del.onnx", *BRIEF), saves=1),
    "run --json": Command(words=("run", "m\u00f6del.onnx", *BRIEF, "--json"), saves=1),
    "run, one fails": Command(words=("run", "broken.onnx", "m\u00f6del.onnx", *BRIEF), saves=2, code=3),
    "run of nothing": Command(words=("run", "absent.onnx"), code=3, prints=False),
    "compare": Command(words=("compare", "{first}", "{second}", "--anyway")),
    "list": Command(words=("list",)),
    "list --json": Command(words=("list", "--json")),
    "show": Command(words=("show", "{first}")),
    "show --json": Command(words=("show", "{first}", "--json")),
    "report": Command(words=("report", "--csv")),
    "report -o": Command(words=("report", "--csv", "-o", "table.csv"), prints=False),
    "env list": Command(words=("env", "list")),
    "env create": Command(words=("env", "create", "ort")),
    "doctor": Command(words=("doctor",)),
    "inputs": Command(words=("inputs", "m\u00f6del.onnx")),
    "plugins": Command(words=("plugins",)),
    "cache list": Command(words=("cache", "list")),
    "sweep": Command(words=("sweep", "suite.toml"), saves=1),
    "sweep --dry-run": Command(words=("sweep", "suite.toml", "--dry-run")),
    "sweep status": Command(words=("sweep", "status")),
    "sequence": Command(words=("sequence", "-i", "m\u00f6del.onnx", "load-onnx", "benchmark", *BRIEF), saves=1),
    "discover": Command(words=("discover", "script.py"), is_slow=True),
    "calibrate": Command(
        words=("calibrate", "m\u00f6del.onnx", "--runs", "3", "--pairs", "3", "--max-time", "0.2", *BRIEF[2:]),
        is_slow=True,
    ),
    "help": Command(words=("run", "-h")),
    "version": Command(words=("--version",)),
    "misspelt": Command(words=("runn",), code=2, prints=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How streams are broken: by the shell, or by what is at the other end; is standard output's failure an error?"""

    shell: str = ""
    env: dict[str, str] = field(default_factory=dict)
    open: Callable[[], Iterator[dict[str, int]]] | None = None
    fails: bool = False


def dead_pipe(*names: str) -> Callable[[], Iterator[dict[str, int]]]:
    """A pipe without a reader."""

    def opened() -> Iterator[dict[str, int]]:
        reading, writing = os.pipe()
        os.close(reading)
        yield dict.fromkeys(names, writing)
        os.close(writing)

    return opened


def read_in_the_background(descriptor: int, work: Callable[[int], None]) -> threading.Thread:
    thread = threading.Thread(target=work, args=(descriptor,))
    thread.start()
    return thread


def read_one_byte(descriptor: int) -> None:
    os.read(descriptor, 1)
    os.close(descriptor)


def reader_that_leaves() -> Iterator[dict[str, int]]:
    """`| head -c 1`, for both streams."""

    reading, writing = os.pipe()
    thread = read_in_the_background(reading, read_one_byte)
    yield {"stdout": writing, "stderr": writing}
    os.close(writing)
    thread.join()


def slow_reader_without_blocking() -> Iterator[dict[str, int]]:
    def work(descriptor: int) -> None:
        while os.read(descriptor, 1000):
            time.sleep(0.002)
        os.close(descriptor)

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    thread = read_in_the_background(reading, work)
    yield {"stdout": writing}
    os.close(writing)
    thread.join()


def terminal_that_is_gone() -> Iterator[dict[str, int]]:
    screen, terminal = pty.openpty()
    os.close(screen)
    yield {"stdout": terminal, "stderr": terminal}
    os.close(terminal)


def terminal_that_goes() -> Iterator[dict[str, int]]:
    screen, terminal = pty.openpty()
    thread = read_in_the_background(screen, read_one_byte)
    yield {"stdout": terminal, "stderr": terminal}
    with contextlib.suppress(OSError):  # it is gone
        os.write(terminal, b"\n")  # for a command that printed nothing
    os.close(terminal)
    thread.join()


WAYS = {
    "stdout closed": Way(shell=">&-"),
    "stderr closed": Way(shell="2>&-"),
    "all closed": Way(shell="<&- >&- 2>&-"),
    "stdout full": Way(shell=">/dev/full", fails=True),
    "stderr full": Way(shell="2>/dev/full"),
    "stdout for reading only": Way(shell="1</dev/null", fails=True),
    "no reader": Way(open=dead_pipe("stdout")),
    "no reader of errors": Way(open=dead_pipe("stderr")),
    "reader leaves": Way(open=reader_that_leaves),
    "slow, not blocking": Way(open=slow_reader_without_blocking),
    "terminal gone": Way(open=terminal_that_is_gone),
    "terminal goes": Way(open=terminal_that_goes),
    "ascii": Way(env={"PYTHONIOENCODING": "ascii"}),
    "no locale": Way(env=NO_LOCALE),
}


def trials() -> list[tuple[str, str]]:
    """All pairs; or each command with one way, and `run` with each."""
    if ALL:
        return [(command, way) for command in COMMANDS for way in WAYS]
    ways = [*WAYS]
    chosen = [(name, ways[3 * place % len(ways)]) for place, name in enumerate(COMMANDS) if not COMMANDS[name].is_slow]
    return [*chosen, *(("run", way) for way in ways if ("run", way) not in chosen)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A folder with models and a suite, and a home with two results and a sweep."""

    folder: Path
    home: Path
    env: dict[str, str]
    names: dict[str, str]

    def command(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "isobench", *(word.format(**self.names) for word in words)]

    def saved(self) -> int:
        return sum(1 for _ in self.home.glob("**/result.json"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, provisioned: Callable[[str], Environment]) -> Lab:
    provisioned("ort")
    folder, home = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("home")
    shared_home.share(home)
    for file in ("m\u00f6del.onnx", "model.onnx"):
        small_models.write(folder / file)
    (folder / "broken.onnx").write_bytes(b"no model")
    (folder / "script.py").write_text("import torch\ntorch.nn.Linear(2, 2)(torch.ones(1, 2))\n")
    # Without a locale, Python can't open a file whose name a suite has in UTF-8.
    suite = 'schema = "isobench.suite/1"\nmodels = ["model.onnx"]\nruntimes = ["ort"]\n'
    (folder / "suite.toml").write_text(f"{suite}settings = {{ iterations = 30, warmup = 1 }}\n", encoding="utf-8")
    made = Lab(folder=folder, home=home, env={**os.environ, "ISOBENCH_HOME": str(home)}, names={})
    for words in (("run", "m\u00f6del.onnx", *BRIEF), ("run", "m\u00f6del.onnx", *BRIEF), ("sweep", "suite.toml")):
        subprocess.run(made.command(words), cwd=folder, env=made.env, check=True, capture_output=True, timeout=120)
    first, second = sorted(path.parent.name for path in results.files(home / "results"))
    made.names.update(first=first, second=second)
    return made


@pytest.mark.parametrize(("name", "way"), trials(), ids=lambda value: value)
def test_a_command_does_its_work_whatever_becomes_of_its_streams(name: str, way: str, lab: Lab, tmp_path: Path) -> None:
    command, broken = COMMANDS[name], WAYS[way]
    before = lab.saved()
    argv = lab.command(command.words)
    if broken.shell:
        argv = ["sh", "-c", f'exec "$@" {broken.shell}', "sh", *argv]
    other_end = broken.open() if broken.open else iter([{}])
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        streams = {"stdout": out, "stderr": err, **next(other_end)}
        started = subprocess.Popen(argv, cwd=lab.folder, env=lab.env | broken.env, **streams)
        code = started.wait(timeout=300)
        assert next(other_end, None) is None
    errors = (tmp_path / "err").read_text(errors="replace")
    expected = FULL if broken.fails and command.prints and not command.code else command.code
    assert code == expected, errors
    assert "Traceback" not in errors
    if broken.fails and command.prints:
        assert "error: the output can't be written: " in errors
    if not command.is_slow:
        assert lab.saved() - before == command.saves
    if name == "run --json" and not (broken.shell or broken.open):
        json.loads((tmp_path / "out").read_text())
