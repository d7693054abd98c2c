"""isobench is killed before each call that changes a file; then nothing is half-written, held or in the way.

ISOBENCH_TRIALS=all kills before every call, and kills the export of a script as well; otherwise, before a few.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import onnx
import onnx_forms
import pytest
import syscalls
from slurm_sweeps import write_onnx

from isobench import results
from isobench.environments import Environment
from isobench.system import leftovers, locks
from isobench.workers import protocol

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(syscalls.unavailable()), reason=syscalls.unavailable()),
]

ALL = os.environ.get("ISOBENCH_TRIALS") == "all"
ISOBENCH = [sys.executable, "-m", "isobench"]
RUN = [*ISOBENCH, "run", "-r", "ort", "--iterations", "3", "--no-select"]
SOME = {"run": 2, "gc": 2, "sweep": 1, "together": 1}
"""How many kills of each command CI has time for."""
ENDED = {"together": 3}
"""The exit codes of the commands, other than 0."""

SCRIPT = """
import torch
model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())
model(torch.ones(1, 4))
"""


SUITE = """
schema = "isobench.suite/1"
runtimes = [{runtimes}]
models = [{models}]
interleave = {interleave}
[settings]
min-time = 0.01
max-time = 0.02
"""
TWO = '"ort", "ort:graph_optimization=basic"'


class World:
    """A home of isobench with its environments, which the next trial finds as it was before."""

    def __init__(self, folder: Path, *environments: Environment) -> None:
        self.folder = folder
        self.home = folder / "home"
        (self.home / "environments").mkdir(parents=True)
        self.model = write_onnx(folder / "net.onnx")
        self.script = folder / "script.py"
        self.script.write_text(SCRIPT)
        (folder / "suite.toml").write_text(SUITE.format(runtimes='"ort"', models='"net.onnx"', interleave="false"))
        onnx.save(onnx_forms.impossible(), folder / "impossible.onnx")
        together = SUITE.format(runtimes=TWO, models='"impossible.onnx", "net.onnx"', interleave="true")
        (folder / "together.toml").write_text(together)
        for one in environments:
            (self.home / "environments" / one.folder.name).symlink_to(one.folder)

    @property
    def env(self) -> Mapping[str, str]:
        locked = str(self.folder / "locks")
        return {**os.environ, "ISOBENCH_HOME": str(self.home), "ISOBENCH_DEVICE_LOCKS": locked, "PYTHONHASHSEED": "0"}

    def trace(self, command: Sequence[str | Path], *, kill: int | None = None) -> syscalls.Traced:
        traced = syscalls.trace(
            command, only="changes", kill=kill, env=self.env, after=f"{self.home}/", cwd=self.folder
        )
        assert not traced.timed_out, f"it hangs:\n{traced.stderr}"  # it would count as killed
        return traced

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            command, env=self.env, cwd=self.folder, capture_output=True, text=True, check=False, timeout=120
        )
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended

    def copy(self, name: str) -> World:
        """This world as it is now, elsewhere, without copying environments."""
        other = object.__new__(World)
        other.folder = self.folder.with_name(name)
        shutil.copytree(self.folder, other.folder, symlinks=True)
        other.home = other.folder / "home"
        other.model, other.script = other.folder / "net.onnx", other.folder / "script.py"
        return other

    def check(self) -> None:
        """Every Result is whole, every build too, and no lock is held."""
        for file in self.home.rglob("result.json"):
            if not file.parent.name.endswith(results.UNFINISHED):
                found = results.load(str(file))
                assert found.ok or found.model.name == "impossible"
        for file in self.home.glob("builds/*/build.json"):
            for sealed in json.loads(file.read_text())["files"]:
                content = protocol.read_bytes(file.parent / sealed["name"], most_bytes=1 << 30)
                assert len(content) == sealed["size_bytes"]
        for file in self.folder.rglob("*.lock"):
            assert locks.holder(file) is None
        doubled = [case for case, count in self.count().items() if count > 1]
        assert not doubled

    def count(self) -> Counter[tuple[str, str]]:
        """How many Results each case of the sweep has."""
        found = (results.load(str(file)) for file in results.files(self.folder / "night" / "results"))
        return Counter((one.model.name, one.runtime.label) for one in found)

    def check_swept(self) -> None:
        """What is left in runs/ are samples, and `isobench cache gc` removes them and all the rest."""
        for left in (self.home / "runs").iterdir():
            assert leftovers.holds_samples(left), sorted(left.rglob("*"))
        assert self.run(*ISOBENCH, "cache", "gc").returncode == 0
        assert not list((self.home / "runs").iterdir())
        assert not list(self.home.rglob("*.tmp"))
        assert not [lock for lock in self.home.rglob("*.lock") if lock.name != "sweep.lock"]


@pytest.fixture
def world(tmp_path: Path, provisioned: Callable[[str], Environment]) -> World:
    return World(tmp_path / "world", provisioned("ort"), *([provisioned("torch")] if ALL else []))


def _measure(world: World) -> list[str | Path]:
    return [*RUN, world.model]


def _export(world: World) -> list[str | Path]:
    return [*RUN, world.script]


def _collect(_: World) -> list[str | Path]:
    return [*ISOBENCH, "cache", "gc", "--older-than", "0"]


def _sweep(world: World) -> list[str | Path]:
    return [*ISOBENCH, "sweep", world.folder / "suite.toml", "--output", world.folder / "night"]


def _together(world: World) -> list[str | Path]:
    return [*ISOBENCH, "sweep", world.folder / "together.toml", "--output", world.folder / "night"]


def _nothing(_: World) -> None:
    """An empty home."""


def _measured(world: World) -> None:
    """A home with a build, and with what a killed process left."""
    traced = world.trace(_measure(world), kill=60)
    assert traced.returncode == -signal.SIGKILL
    assert world.run(*_measure(world)).returncode == 0


COMMANDS = {
    "run": (_measure, _nothing),
    "gc": (_collect, _measured),
    "sweep": (_sweep, _nothing),
    "together": (_together, _nothing),
}
if ALL:
    COMMANDS["export"] = (_export, _nothing)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_kill_before_a_call_that_changes_a_file_leaves_nothing_that_misleads(world: World, name: str) -> None:
    command, prepare = COMMANDS[name]
    prepare(world)
    whole = world.copy("whole")
    traced = whole.trace(command(whole))
    assert traced.returncode == ENDED.get(name, 0), traced.stderr
    every = range(1, traced.counted + 1)
    step = 1 if ALL else traced.counted // SOME[name]
    tried = 0
    for number in every[step // 2 :: step]:
        killed = world.copy(f"killed-{number}")
        ended = killed.trace(command(killed), kill=number)
        if ended.returncode == traced.returncode:  # a run may have fewer calls than the other
            continue
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        tried += 1
        killed.check()
        again = command(killed)
        if (killed.folder / "night" / "sweep.json").exists():
            again = [*ISOBENCH, "sweep", "resume", killed.folder / "night"]
        ended_again = killed.run(*again)
        assert ended_again.returncode == traced.returncode, f"after a kill before call {number}: {ended_again.stderr}"
        assert killed.run(*ISOBENCH, "list").returncode == 0
        killed.check()
        if name != "sweep" or (killed.home / "runs").exists():
            killed.check_swept()
        killed.check()
        shutil.rmtree(killed.folder)
    print(f"{name}: killed before {tried} of {traced.counted} calls, all as expected")
    assert tried
