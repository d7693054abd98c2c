"""What carries a sweep out: several models of a script, changed models, processes that are killed; `run --resume`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from isobench import api, results
from isobench.console import Console
from isobench.environments import Environment
from isobench.executors import sweep
from isobench.executors.local_sweep import run_task
from isobench.results import Failed, Measured, Result
from isobench.sweeps.folder import SweepFolder

pytestmark = pytest.mark.integration

QUIET = Console(quiet=True)
SUITE = """
schema = "isobench.suite/1"
models = [{models}]
runtimes = ["ort"]
{more}
[settings]
iterations = 2
warmup = 1
threads = 1
"""


@pytest.fixture
def lab(home: Path, tmp_path: Path, provisioned: Callable[[str], Environment]) -> Path:
    """A folder with a small `.onnx` file."""
    provisioned("ort")
    folder = tmp_path / "lab"
    folder.mkdir()
    write_model(folder / "small.onnx")
    return folder


def write_model(file: Path, operator: str = "Add") -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node(operator, ["x", "x"], ["y"])], "small", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)


def suite_of(lab: Path, *models: str, more: str = "") -> Path:
    file = lab / "night.toml"
    file.write_text(SUITE.format(models=", ".join(map(json.dumps, models)), more=more))
    return file


def in_folder(folder: Path) -> list[Result]:
    found = [results.load(str(file)) for file in results.files(folder / "results")]
    return sorted(found, key=lambda result: result.started_at)


def test_a_changed_model_isnt_mixed_with_what_was_measured_before(lab: Path, tmp_path: Path) -> None:
    running = api.sweep(suite_of(lab, "small.onnx", more="repeat = 2"), output=tmp_path / "night")
    first = next(running)
    assert isinstance(first.result.outcome, Measured)
    assert first.result.sweep is not None
    running.close()  # type: ignore[attr-defined] # a generator
    before = (lab / "small.onnx").read_bytes()
    write_model(lab / "small.onnx", "Mul")
    [changed] = api.resume(tmp_path / "night")
    assert isinstance(changed.result.outcome, Failed)
    assert "small on ort isn't what it was when the sweep began: the model's file changed" in (
        changed.result.outcome.message
    )
    assert [saved.result.case_key for saved in api.resume(tmp_path / "night")] == []
    (lab / "small.onnx").write_bytes(before)
    [again] = api.resume(tmp_path / "night", retry="failed")
    assert again.result.case_key == first.result.case_key
    assert again.result.sweep is not None
    assert (again.result.sweep.repeat, again.result.sweep.attempt) == (2, 2)


def test_what_an_attempt_has_measured_isnt_measured_again_by_the_same_attempt(lab: Path, tmp_path: Path) -> None:
    assert len(list(api.sweep(suite_of(lab, "small.onnx"), output=tmp_path / "night"))) == 1
    folder = SweepFolder.find(tmp_path / "night")
    [task] = folder.tasks() or ()
    assert list(run_task(folder, task, attempt=1, progress=QUIET)) == []
    assert len(list(run_task(folder, task, attempt=2, progress=QUIET))) == 1
    assert len(in_folder(folder.path)) == 2


def test_a_script_that_fails_doesnt_keep_the_models_of_others_from_being_measured(
    lab: Path, tmp_path: Path, provisioned: Callable[[str], Environment]
) -> None:
    provisioned("torch")
    lines = ["import torch", "for size in (2, 3):", "    torch.nn.Linear(2, size).eval()(torch.ones(1, 2))"]
    (lab / "two.py").write_text("\n".join(lines))
    (lab / "broken.py").write_text("raise ValueError('no weights here')\n")
    list(api.sweep(suite_of(lab, "broken.py", "two.py"), output=tmp_path / "night"))
    broken, *measured = in_folder(tmp_path / "night")
    assert isinstance(broken.outcome, Failed)
    assert broken.outcome.message == "broken.py raised ValueError: no weights here"
    assert len({result.model.hash for result in measured if isinstance(result.outcome, Measured)}) == 2
    tasks = SweepFolder.find(tmp_path / "night").tasks() or ()
    assert [len(task.cases) for task in tasks] == [0, 1, 1]
    assert {task.requested for task in tasks[1:]} == {SweepFolder.find(tmp_path / "night").sweep.tasks[1].key}


def test_a_host_that_is_killed_again_and_again_measures_nothing_twice_and_forgets_nothing(
    lab: Path, tmp_path: Path
) -> None:
    api.sweep(suite_of(lab, "small.onnx", more="repeat = 4"), output=tmp_path / "night")
    code = "from isobench import api\nfor _ in api.resume('night'): pass"
    for seconds in (1.0, 1.6, 0.7, 1.3):
        host = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
        time.sleep(seconds)
        host.send_signal(signal.SIGKILL)
        host.wait()
    folder = SweepFolder.find(tmp_path / "night")
    list(sweep.run(folder, QUIET))
    measured = [result.sweep.task for result in in_folder(folder.path) if result.sweep is not None]
    assert sorted(measured) == sorted(task.key for task in folder.sweep.tasks)
    assert not list(sweep.run(folder, QUIET))


def isobench(*words: str | Path, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "isobench", *map(str, words)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == code, done.stderr
    return done.stderr


def test_run_with_resume_shows_what_was_measured_before(lab: Path) -> None:
    words = ["run", "-r", "ort", lab / "small.onnx", "--iterations", "2", "--warmup", "1", "--output", lab / "here"]
    isobench(*words)
    [first] = results.files(lab / "here")
    write_model(lab / "other.onnx", "Mul")
    printed = isobench(*words, lab / "other.onnx", "--resume")
    assert f"small on ort: measured before, on {first.parent.name[:4]}-" in printed
    assert "other on ort: measured before" not in printed
    assert len(results.files(lab / "here")) == 2
    isobench(*words, "--resume", "--retry", "all")
    assert len(results.files(lab / "here")) == 3
    assert "hint: Give --resume, too." in isobench(*words, "--retry", "all", code=2)
    assert os.path.exists(first)  # noqa: PTH110 - what was measured stays
