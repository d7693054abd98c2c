"""A signal at any time: no process is left, each result is whole and was printed, and the exit code names the signal.

`ISOBENCH_TRIALS=all` sends 100 signals at random times; without it, a few.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import small_models

from isobench import results
from isobench.results import Measured, store
from isobench.system import devices

pytestmark = pytest.mark.integration

ALL = os.environ.get("ISOBENCH_TRIALS") == "all"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AT_RANDOM = range(100 if ALL else 6)
LONGEST_S = 4.0
"""A signal at a random time comes within this time."""
GRACE_S = 3.0
BRIEF = ["--iterations", "200", "--warmup", "5"]
LONG = ["--min-time", "60", "--max-time", "60"]
COMMANDS = {
    "run": ["run", "first.onnx", "second.onnx", "-r", "ort", "-r", "ort:graph_optimization=basic", *BRIEF],
    "interleaved": [
        "run",
        "first.onnx",
        "-r",
        "ort",
        "-r",
        "ort:graph_optimization=basic",
        "--interleave",
        "--max-time",
        "0.5",
    ],
    "sweep": ["sweep", "suite.toml"],
    "sequence": ["sequence", "-i", "first.onnx", "second.onnx", "load-onnx", "benchmark", *BRIEF],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A folder with models and a suite, and a home."""

    folder: Path
    home: Path
    env: dict[str, str]

    @contextlib.contextmanager
    def at_work(self, words: list[str], **options: object) -> Iterator[subprocess.Popen[str]]:
        """A command whose handlers of signals are in place; no process of it may be left at the end."""
        argv = [sys.executable, "-m", "isobench", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        started = subprocess.Popen(argv, cwd=self.folder, env=self.env, text=True, **pipes)  # type: ignore[call-overload]
        try:
            while not catches(started.pid, signal.SIGTERM):
                time.sleep(0.001)
            yield started
        finally:
            started.kill()
            started.communicate()
        assert not self.left(), "processes were left"

    def left(self) -> list[str]:
        """The processes of this home, after a while."""
        until = time.monotonic() + GRACE_S
        while (found := processes_of(self.home)) and time.monotonic() < until:
            time.sleep(0.02)
        return found


def catches(pid: int, number: int) -> bool:
    caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), flags=re.MULTILINE)
    return bool(caught and int(caught[1], 16) >> (number - 1) & 1)


def processes_of(home: Path) -> list[str]:
    """The command lines of all processes that name the home, or have it in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command, env = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
            if int(process.name) != os.getpid() and str(home).encode() in command + env:
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.fixture
def lab(tmp_path: Path, ort_home: Path) -> Lab:
    folder = tmp_path / "lab"
    folder.mkdir()
    for place, name in enumerate(("first", "second")):
        small_models.write(folder / f"{name}.onnx", width=4 + place)
    suite = 'schema = "isobench.suite/1"\nmodels = ["first.onnx", "second.onnx"]\nruntimes = ["ort"]\n'
    (folder / "suite.toml").write_text(f"{suite}settings = {{ iterations = 200, warmup = 5 }}\n")
    return Lab(folder=folder, home=ort_home, env={**os.environ})


def check_results(lab: Lab, printed: str) -> None:
    """Each result is whole, with its samples, and was printed."""
    for file in lab.home.glob("**/result.json"):
        result = results.load(str(file))
        assert isinstance(result.outcome, Measured), "what was interrupted isn't saved"
        assert results.samples_ns(result, file.parent)
        assert result.id in printed or "sweeps" in file.parts
    half = [*lab.home.glob(f"**/results/*{results.UNFINISHED}"), *lab.home.glob(f"**/results/*{store.TOGETHER}")]
    assert not half, "no half of a result"


@pytest.mark.parametrize("seed", AT_RANDOM)
def test_a_signal_at_a_random_time_leaves_nothing_but_whole_results(seed: int, lab: Lab) -> None:
    chance = random.Random(seed)
    name, number = chance.choice([*COMMANDS]), chance.choice(SIGNALS)
    with lab.at_work(COMMANDS[name]) as started:
        time.sleep(chance.random() * LONGEST_S)
        started.send_signal(number)
        second = chance.choice(SIGNALS) if chance.random() < 0.5 else number
        if second != number:
            time.sleep(chance.random() * 0.05)
            started.send_signal(second)
        out, err = started.communicate(timeout=60)
    # Of two that arrive before the process gets to handle them, Python handles the one with the lower number first.
    assert started.returncode in {128 + number, 128 + second, 0}, err
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    check_results(lab, out)


PHASES = [
    ("building first", signal.SIGTERM),
    (": loading", signal.SIGHUP),
    (": warming up", signal.SIGINT),
    (": measuring", signal.SIGTERM),
]


@pytest.mark.parametrize(("phase", "number"), PHASES)
def test_in_each_phase_a_signal_cancels_the_case_and_what_was_measured_is_printed(
    phase: str, number: signal.Signals, lab: Lab
) -> None:
    model = "second" if phase != "building first" else "first"
    words = ["run", "second.onnx", "first.onnx", *BRIEF]
    with lab.at_work(words) as started:
        assert started.stderr is not None
        for line in started.stderr:
            if phase in line and (model == "first" or "first on" in line):
                break
        started.send_signal(number)
        out, err = started.communicate(timeout=60)
    assert started.returncode == 128 + number
    assert "Traceback" not in err
    check_results(lab, out)
    assert not list(lab.home.glob("runs/*")), "what a worker wrote is removed"
    assert len(list(lab.home.glob("results/*/result.json"))) == 1
    if model == "second":
        assert "cancelled" in out
        assert "not saved: first on ort was interrupted" in out


EARLY_MS = range(0, 1001, 5 if ALL else 100)
"""The import of onnx, whose modules crash if an exception is raised while they are set up, is among it."""


@pytest.mark.parametrize("after_ms", EARLY_MS)
def test_ctrl_c_while_isobench_starts_is_quiet(after_ms: int, lab: Lab) -> None:
    with lab.at_work(["run", "first.onnx", *LONG]) as started:
        time.sleep(after_ms / 1000)
        started.send_signal(signal.SIGINT)
        _, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "Traceback" not in err


def test_a_signal_ends_waiting_for_the_device(lab: Lab) -> None:
    device = devices.Device(family="x86")
    with devices.exclusive(device), lab.at_work(["run", "first.onnx", *BRIEF]) as started:
        assert started.stderr is not None
        assert any("; waiting" in line for line in started.stderr)
        started.send_signal(signal.SIGTERM)
        started.communicate(timeout=30)
    assert started.returncode == 143


def test_a_signal_ends_printing_to_a_reader_that_does_not_read(lab: Lab) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writing, bytes(4096)):
            pass
    os.set_blocking(writing, True)
    with lab.at_work(["run", "first.onnx", *BRIEF], stdout=writing) as started:
        while not list(lab.home.glob("results/*/result.json")):
            time.sleep(0.05)
        time.sleep(0.5)
        started.send_signal(signal.SIGINT)
        assert started.wait(timeout=30) == 130
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_was_ignored_stays_ignored(number: signal.Signals, lab: Lab) -> None:
    before = signal.signal(number, signal.SIG_IGN)  # as nohup does; the program inherits it
    try:
        started = subprocess.Popen(
            [sys.executable, "-m", "isobench", "run", "first.onnx", *BRIEF],
            cwd=lab.folder,
            env=lab.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    finally:
        signal.signal(number, before)
    while started.poll() is None:
        started.send_signal(number)
        time.sleep(0.05)
    _, err = started.communicate()
    assert started.returncode == 0, err


def test_a_case_of_a_sweep_that_was_cancelled_is_measured_by_resume(lab: Lab) -> None:
    suite = (lab.folder / "suite.toml").read_text()
    (lab.folder / "suite.toml").write_text(suite.replace("iterations = 200", "min-time = 2, max-time = 2"))
    with lab.at_work(["sweep", "suite.toml"]) as started:
        assert started.stderr is not None
        assert any(line.startswith("[1/2]") for line in started.stderr)
        time.sleep(0.5)
        started.send_signal(signal.SIGHUP)
        _, err = started.communicate(timeout=30)
    assert started.returncode == 129
    assert "1 of 2 cases are measured, 1 left" in err
    check_results(lab, "")
    with lab.at_work(["sweep", "resume"]) as resumed:
        out, _ = resumed.communicate(timeout=60)
    assert resumed.returncode == 0
    assert "2 cases: 2 measured" in out
