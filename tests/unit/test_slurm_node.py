"""`isobench run-case`: what a node refuses, and in which words."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import sample_sweeps
from click.testing import CliRunner

from isobench import api
from isobench.cli.main import cli
from isobench.errors import UsageError
from isobench.executors.slurm import endings
from isobench.planning.plan import SweepPlace
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import What
from isobench.sweeps.task import Task, keyed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SLURMD_NODENAME", "n7")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite").mkdir()
    script = tmp_path / "suite" / "model.py"
    script.write_text("")
    plan = api.plan([str(script)], runtimes=["torch-eager"])
    task = keyed(Task(plan=replace(plan, sweep=SweepPlace(sweep="night", task=""))))
    return sample_sweeps.folder(tmp_path / "sweep", task, working_folder=tmp_path / "suite", executor="slurm")


def refused(folder: SweepFolder, *words: str) -> UsageError:
    """The error of `isobench run-case`, which the journal has, too."""
    [task] = folder.sweep.tasks
    command = ["run-case", str(folder.path), *(words or (task.key, f"--plan={folder.plan_sha256}"))]
    error = CliRunner().invoke(cli, command, standalone_mode=False).exception
    assert isinstance(error, UsageError)
    [event] = [event for event in folder.journal.events() if event.what is What.LOST]
    assert event.job == "17"
    assert event.note.startswith(f"{endings.REFUSED}{error.message}")
    return error


def test_another_sweep_than_the_submitted_one_is_refused(folder: SweepFolder) -> None:
    error = refused(folder, folder.sweep.tasks[0].key, "--plan=0123")
    assert error.message == f"{folder.path} on n7 holds another sweep than the one that was submitted"
    assert "sha256sum sweep.json" in error.hint


def test_a_plan_that_changes_while_its_jobs_wait_is_another_for_those_that_are_submitted_later(
    folder: SweepFolder,
) -> None:
    submitted = folder.plan_sha256
    with (folder.path / "sweep.json").open("a") as plan:
        plan.write("\n")
    assert folder.plan_sha256 == submitted
    assert "another sweep" in refused(folder, folder.sweep.tasks[0].key, f"--plan={submitted}").message


def test_a_task_that_the_sweep_does_not_have_is_refused(folder: SweepFolder) -> None:
    assert refused(folder, "0123456789ab").message == f"the sweep in {folder.path} has no task 0123456789ab"


def test_a_node_that_does_not_see_the_suites_folder_is_refused(folder: SweepFolder) -> None:
    shutil.rmtree(folder.sweep.working_folder)
    error = refused(folder)
    expected = f"n7 can't enter {folder.sweep.working_folder}, the folder of the suite: No such file or directory"
    assert error.message == expected
    assert "all nodes share" in error.hint


def test_a_node_that_cannot_have_a_home_is_refused(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(folder.path / "sweep.json"))
    error = refused(folder)
    assert "n7 can't lock files in ISOBENCH_HOME" in error.message
    assert "--slurm setup=" in error.hint


def test_a_node_that_does_not_see_the_sweep_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURMD_NODENAME", "n7")
    error = CliRunner().invoke(cli, ["run-case", str(tmp_path), "0123"], standalone_mode=False).exception
    assert isinstance(error, UsageError)
    assert error.message == f"n7 doesn't see the sweep's folder {tmp_path}"


def test_a_call_without_a_task_is_refused(folder: SweepFolder) -> None:
    called = CliRunner().invoke(cli, ["run-case", str(folder.path)])
    assert called.exit_code == 2
    assert "Missing argument 'KEY'" in called.output
