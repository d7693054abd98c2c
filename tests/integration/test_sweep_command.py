"""`isobench sweep` as a laboratory types it: models that crash and hang, Ctrl-C, resume, retry, cancel."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import onnx_forms
import pytest
from onnx import TensorProto, helper

from isobench import paths, results
from isobench.environments import Environment

pytestmark = pytest.mark.integration

SCRIPTS = Path(__file__).parents[1] / "samples" / "scripts"
EXAMPLES = Path(__file__).parents[2] / "examples" / "suites"
QUICK = "[settings]\niterations = 60\nwarmup = 1\nthreads = 1\n"
ROWS = 'matrix.rows = [1, 8]\ndim.rows = "{rows}"\n'


@pytest.fixture
def lab(home: Path, tmp_path: Path, provisioned: Callable[[str], Environment]) -> Path:
    """A folder with a small `.onnx` file."""
    provisioned("ort")
    provisioned("torch")
    folder = tmp_path / "lab"
    folder.mkdir()
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "twice", [x], [y])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "twice.onnx"
    )
    return folder


def write_suite(lab: Path, text: str) -> Path:
    suite = lab / "night.toml"
    suite.write_text(f'schema = "isobench.suite/1"\n{text}\n{QUICK}')
    return suite


def sweep(*words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == code, done.stderr + done.stdout
    return done


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "isobench", "sweep", *map(str, words)]


def status(name: str = "") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sweep("status", *([name] if name else []), "--json").stdout)
    return found


@contextmanager
def at_work(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A sweep that has measured its first case, and measures the next."""
    started = subprocess.Popen(command(*words), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        assert started.stderr is not None
        assert any(re.match(r"\[\d/\d\]", line) for line in started.stderr), "it ended before a case did"
        yield started
    finally:
        started.kill()
        started.wait()
        assert started.stderr is not None
        started.stderr.close()


def ids(value: dict[str, Any]) -> list[str]:
    return sorted(path.parent.name for path in results.files(Path(value["results"])))


def test_each_model_has_a_number_or_a_name_for_what_went_wrong_and_retry_runs_the_rest(lab: Path, home: Path) -> None:
    shutil.copy(SCRIPTS / "crashes_when_measured.py", lab / "crashes.py")
    (lab / "broken.py").write_text("raise ValueError('no weights here')\n")
    models = 'models = ["broken.py", "crashes.py", {path = "twice.onnx", runtimes = ["ort"]}]\n'
    suite = write_suite(lab, f'{models}runtimes = ["torch-eager"]\n{ROWS}')
    done = sweep(suite, code=3)
    assert "4 cases: 2 measured, 2 failed" in done.stdout
    assert re.search(r"^twice  ort +1 +0\.0\d+ ", done.stdout, flags=re.MULTILINE)
    assert "script-error: broken on torch-eager\n    broken.py raised ValueError: no weights here" in done.stdout
    assert "crash: crashes on torch-eager\n" in done.stdout
    assert "SIGSEGV" in done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert [line[:5] for line in lines] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    assert lines[-1].endswith("2 failed, none left")
    before = status()
    saved = ids(before)
    assert (before["measured"], before["kinds"], before["left"]) == (2, {"crash": 1, "script-error": 1}, 0)

    *of_another_process, _ = paths.owner().split("-")
    left = home / "runs" / "-".join(["ort", *of_another_process, "1", "abcdef"])
    left.mkdir()
    unchanged = sweep("resume", code=3)
    assert not left.exists(), "what a process left that was killed is removed, though nothing is measured"
    assert "[" not in unchanged.stderr, "what is done is not measured again"
    assert ids(status()) == saved

    assert "retry all failures (2)" in unchanged.stdout
    (lab / "broken.py").write_text("import torch\ntorch.nn.Linear(2, 2)(torch.ones(1, 2))\n")
    repaired = sweep("retry", code=5)
    assert "4 cases: 3 measured, 1 failed" in repaired.stdout
    assert len(ids(status())) == len(saved) + 2, "each failure was tried once more, and its first result stays"


def test_a_model_that_hangs_takes_its_time_limit_and_no_more(lab: Path) -> None:
    shutil.copy(SCRIPTS / "never_ends.py", lab / "hangs.py")
    suite = write_suite(lab, 'models = ["hangs.py"]\nruntimes = ["ort"]')
    suite.write_text(suite.read_text() + "timeout = 2\n")
    done = sweep(suite, code=5)
    assert "failed: 1 timeout\n  timeout: hangs on ort\n" in done.stdout


def test_ctrl_c_and_cancel_lose_nothing_and_resume_measures_what_is_left_once(lab: Path, home: Path) -> None:
    suite = write_suite(lab, f'models = ["twice.onnx"]\nruntimes = ["ort"]\nrepeat = 4\n{ROWS}')
    with at_work(suite) as interrupted:
        interrupted.send_signal(signal.SIGINT)
        _, err = interrupted.communicate(timeout=30)
    assert interrupted.returncode == 130
    name = status()["sweep"]
    assert f"interrupted; 1 of 8 cases are measured, 7 left\ngo on: isobench sweep resume {name}\n" in err
    assert not list((home / "runs").iterdir()), "the case that was measured is dropped"

    with at_work("resume", name) as running:
        now = status(name)
        assert f"pid {running.pid}" in now["holder"]
        assert now["measured"] + now["left"] == 8
        assert "in use by pid" in sweep("resume", name, code=2).stderr
        cancelled = sweep("cancel", name)
        assert running.wait(timeout=30) == 130
    assert cancelled.stdout.startswith(("cancelled, 1 case stopped: ", "stopped between two cases: "))
    assert f"isobench sweep resume {name}" in cancelled.stdout

    note = sweep(suite, "--output", lab / "another", "--dry-run")
    assert "(8 cases from earlier results)" in note.stdout
    assert "8 cases: 8 measured" in sweep("resume", name).stdout
    assert len(ids(status(name))) == 8
    tasks = [results.load(str(path)).sweep for path in (Path(status(name)["results"])).iterdir()]
    assert len({place.task for place in tasks if place}) == 8, "no case was measured twice"


def test_after_a_kill_while_results_are_saved_each_case_has_one(lab: Path, tmp_path: Path) -> None:
    """tests/reliability/test_kills.py kills before every call; here is what the kills of two moments leave."""
    onnx.save(onnx_forms.impossible(), lab / "impossible.onnx")
    models = 'models = ["impossible.onnx", {path = "twice.onnx", dim.rows = 2}]\n'
    suite = write_suite(lab, f'{models}runtimes = ["ort", "ort:graph_optimization=basic"]\ninterleave = true\n')
    suite.write_text(suite.read_text().replace("iterations = 60", "min-time = 0.01\nmax-time = 0.02"))
    folder = tmp_path / "night"
    assert "4 cases: 2 measured, 2 failed" in sweep(suite, "--output", folder, code=3).stdout
    saved = {name: results.load(name, root=folder / "results") for name in results.names(folder / "results")}
    measured = [name for name, result in saved.items() if result.ok]
    assert len(measured) == 2

    for failure in saved.keys() - set(measured):  # the failed results are saved, and nothing says so yet
        (folder / "tasks.json").unlink(missing_ok=True)
        shutil.rmtree(folder / "journal", ignore_errors=True)
        results.remove(folder / "results" / failure, root=folder / "results")
        assert "4 cases: 2 measured, 2 failed" in sweep("resume", folder, code=3).stdout
        assert len(results.names(folder / "results")) == 4

    together = folder / "results" / f"{measured[0]}.{paths.owner()}.saved"
    together.mkdir()
    (folder / "results" / measured[1]).rename(together / measured[1])
    assert "4 cases: 2 measured, 2 failed" in sweep("resume", folder, code=3).stdout
    found = results.names(folder / "results")
    assert len(found) == 4
    assert {*measured} < {*found}


def test_a_dry_run_writes_nothing_and_says_what_is_missing(lab: Path, home: Path) -> None:
    suite = write_suite(lab, f'models = ["twice.onnx"]\nruntimes = ["ort"]\n{ROWS}')

    def everything() -> set[str]:
        return {str(path) for top in (lab, home) for path in top.rglob("*") if "environments" not in path.parts}

    before = everything()
    done = sweep(suite, "--dry-run")
    assert everything() == before
    assert re.search(r"^twice  ort +1$", done.stdout, flags=re.MULTILINE)
    assert "builds: twice rows=1, twice rows=8" in done.stdout
    assert "(2 cases guessed from the settings)" in done.stdout
    planned = json.loads(sweep(suite, "--dry-run", "--json").stdout)
    assert [task["axes"] for task in planned["tasks"]] == [{"rows": 1}, {"rows": 8}]


def test_a_second_sweep_of_a_suite_names_the_unfinished_one(lab: Path) -> None:
    suite = write_suite(lab, f'models = ["twice.onnx"]\nruntimes = ["ort"]\n{ROWS}')
    with at_work(suite) as killed:
        killed.send_signal(signal.SIGKILL)
        killed.wait(timeout=30)
    unfinished = status()["sweep"]
    done = sweep(suite, "--output", lab / "night 2")
    assert f"note: {unfinished} of the same suite isn't finished" in done.stderr
    assert f"isobench sweep resume {unfinished}" in done.stderr
    assert f"isobench report --csv '{lab}/night 2'" in done.stdout
    assert status(str(lab / "night 2"))["measured"] == 2


@pytest.mark.parametrize("name", ["first", "threads", "nightly"])
def test_the_example_suites_are_measured(name: str, lab: Path, tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES.parent / "models", folder / "models")
    shutil.copytree(EXAMPLES, folder / "suites")
    suite = folder / "suites" / f"{name}.toml"
    quick = (
        suite.read_text().replace("min-time = 0.2", "iterations = 5\nwarmup = 1").replace("repeat = 2", "repeat = 1")
    )
    suite.write_text(quick)
    done = sweep(suite, "--output", tmp_path / "out")
    assert re.match(r"(\d+) cases: \1 measured\b", done.stdout)


def test_the_example_of_a_night_is_a_plan(home: Path) -> None:
    done = sweep(EXAMPLES / "nightly.toml", "--dry-run")
    assert done.stdout.startswith("nightly.toml: 38 cases of 3 models on 4 runtimes, in random order (seed 20)\n")
    assert not (home / "sweeps").exists()
