"""docs/from-turnkeyml.md: every command in it, as a reader would type it, on tiny models."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import isobench
from isobench.environments import Environment
from isobench.results import Result

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[2] / "docs" / "from-turnkeyml.md"
PYTHON = re.compile(r"`((?:isobench\.|result\.)[^`]*)`")
ROW = re.compile(r"^\| `turnkey [^|]*` \| `(isobench [^|]*)` \|", re.MULTILINE)

MODEL = """#labels name::tiny author::me task::nlp
import argparse
import torch

parser = argparse.ArgumentParser()
parser.add_argument("--batch_size", type=int, default=1)
batch_size = parser.parse_args().batch_size
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU())
model(torch.ones(batch_size, 8))
"""


def commands() -> list[str]:
    return ROW.findall(PAGE.read_text())


class World:
    """A folder of tiny models and an ISOBENCH_HOME, in which one model was measured already."""

    def __init__(self, root: Path, environments: Path) -> None:
        self.root, self.home = root, root / "home"
        self.home.mkdir()
        (self.home / "environments").symlink_to(environments)
        (root / "model.py").write_text(MODEL)
        (root / "zoo").mkdir()
        (root / "zoo" / "nlp.py").write_text(MODEL)
        (root / "zoo" / "vision.py").write_text(MODEL.replace("task::nlp", "task::vision"))
        (root / "models.txt").write_text("model.onnx\n")
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 8]) for name in ("x", "y"))
        graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "tiny", [x], [y])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, root / "model.onnx")

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        words = shlex.split(command)
        assert words[0] == "isobench"
        if {"run", "benchmark"} & set(words) and words[-1] != "-h":
            # Beside other tests, the search for undisturbed time would take its ten seconds each time.
            place = 2 if words[1] in {"run", "benchmark"} else len(words)
            words[place:place] = ["--max-time", "1"]
        env = {**os.environ, "ISOBENCH_HOME": str(self.home)}
        argv = [sys.executable, "-m", "isobench", *words[1:]]
        return subprocess.run(argv, cwd=self.root, env=env, capture_output=True, text=True, check=False, timeout=120)

    def filled(self, command: str) -> str:
        """The command with real ids in place of RESULT, BUILD and HASH."""
        if any(word in command for word in ("RESULT", "BUILD", "mine")):
            done = self.run("isobench run --iterations 5 --output mine model.onnx")
            assert done.returncode == 0, done.stderr
            assert self.run("isobench run --iterations 5 model.onnx").returncode == 0
        if "HASH" in command:
            found = re.search(r"\b[0-9a-f]{8}\b", self.run("isobench discover model.py").stdout)
            assert found is not None
            command = command.replace("HASH", found[0])
        result, build = (self.run(f"isobench {what}").stdout for what in ("list", "cache list"))
        words = {"RESULT": result.split("\n")[-2].split(" ")[0] if result else "", "BUILD": build.split(" ")[0]}
        for word, value in words.items():
            command = command.replace(word, value)
        return command


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, provisioned: Callable[[str], Environment]) -> World:
    provisioned("torch")
    return World(tmp_path_factory.mktemp("turnkey"), provisioned("ort").folder.parent)


def test_the_page_has_commands_in_every_row() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `turnkey ")]
    assert len(commands()) == len(rows) > 30


@pytest.mark.parametrize("command", commands())
def test_the_new_command_of_each_row_works(command: str, world: World) -> None:
    done = world.run(world.filled(command))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout or done.stderr


def test_the_python_of_the_page_works(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.root)
    monkeypatch.setenv("ISOBENCH_HOME", str(world.home))
    _, _, section = PAGE.read_text().partition("## From Python")
    snippets = PYTHON.findall(section.partition("\n## ")[0])
    assert len(snippets) == 4
    result = None
    for snippet in snippets:
        found = eval(snippet, {"isobench": isobench, "result": result})
        if isinstance(found, Result):
            result = found
        assert found
