"""A sweep is carried out by whatever executor it names: prepared, measured, interrupted and resumed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import plugin_world
import pytest
import sample_results
import sample_sweeps

from isobench import api, plugins
from isobench.console import Console, Progress
from isobench.errors import LockError, UsageError
from isobench.executors import sweep
from isobench.failures import Ending
from isobench.planning.retry import Retry
from isobench.results import Failed, Measured, SavedResult
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import What
from isobench.sweeps.task import Task
from isobench.system import locks

QUIET = Console(quiet=True)
MEASURED = sample_results.measured(4.0)
CRASHED = Failed(kind=Ending.CRASH, message="it crashed")
UNINSTALLED = Failed(kind=Ending.ENVIRONMENT, message="it can't be installed")


class Cluster:
    """An executor that looks its outcomes up."""

    detaches: ClassVar[bool] = True
    fixed: ClassVar[frozenset[str]] = frozenset({"cpus"})
    used: ClassVar[list[dict[str, Any]]] = []
    """The options of each run."""
    outcomes: ClassVar[dict[str, Measured | Failed]] = {}
    """Of a task, by its model's name; others are measured."""
    unprepared: ClassVar[dict[str, Failed]] = {}
    working_folders: ClassVar[list[str]] = []

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    def check(self) -> None: ...

    def prepare(self, folder: SweepFolder, progress: Progress) -> tuple[Task, ...]:
        return tuple(self._prepared(folder, task) for task in folder.sweep.tasks)

    def _prepared(self, folder: SweepFolder, task: Task) -> Task:
        failure = self.unprepared.get(task.plan.models[0].name)
        if failure is not None:
            sample_sweeps.save(folder, task, failure)
            return task
        return replace(task, cases=sample_sweeps.task(task.plan.models[0].name, case_key="a key").cases)

    def run(self, folder: SweepFolder, tasks: Sequence[Task], progress: Progress) -> Iterator[SavedResult]:
        self.used.append(dict(self.options))
        for task in tasks:
            self.working_folders.append(os.getcwd())  # noqa: PTH109 - text
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            outcome = self.outcomes.get(task.plan.models[0].name, MEASURED)
            result = sample_sweeps.save(folder, task, outcome, started_at=now)
            yield SavedResult(result=result, folder=folder.results / result.id)

    def pending(self, folder: SweepFolder) -> Mapping[str, str]:
        return {}

    def cancel(self, folder: SweepFolder) -> int:
        return 0


@pytest.fixture(autouse=True)
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    plugin_world.install(tmp_path / "site", monkeypatch, "", package="their_cluster")
    import their_cluster  # type: ignore[import-not-found]

    their_cluster.Cluster = Cluster
    file = tmp_path / "site" / "their_cluster-1.0.dist-info" / "entry_points.txt"
    file.write_text("[isobench.executors]\ncluster = their_cluster:Cluster\n")
    plugins.forget()
    for members in (Cluster.outcomes, Cluster.unprepared, Cluster.working_folders, Cluster.used):
        members.clear()
    yield
    plugins.forget()


def night(tmp_path: Path, *names: str) -> SweepFolder:
    tasks = map(sample_sweeps.task, names)
    return SweepFolder.create(
        sample_sweeps.sweep(*tasks, executor="cluster", working_folder=tmp_path), tmp_path / "night"
    )


def ran(folder: SweepFolder, retry: Retry = Retry.NONE) -> list[tuple[str, str, int]]:
    """The Results that a run yields: their model, how it ended, and the attempt."""
    found = []
    for saved in sweep.run(folder, QUIET, retry=retry):
        place = saved.result.sweep
        assert place is not None
        [name] = {one.plan.models[0].name for one in folder.tasks() or () if one.key == place.task}
        found.append((name, saved.result.outcome.status, place.attempt))
    return found


def test_every_task_is_measured_in_order_and_the_tasks_are_frozen(tmp_path: Path) -> None:
    folder = night(tmp_path, "b", "a", "c")
    assert ran(folder) == [("b", "measured", 1), ("a", "measured", 1), ("c", "measured", 1)]
    assert [task.cases[0].label for task in folder.tasks() or ()] == ["b on ort", "a on ort", "c on ort"]
    assert [event.what for event in folder.journal.events()] == [What.STARTED, What.PREPARED, What.FINISHED]


def test_what_was_measured_isnt_measured_again(tmp_path: Path) -> None:
    folder = night(tmp_path, "a", "b", "c")
    running = sweep.run(folder, QUIET)
    assert len(list(itertools.islice(running, 2))) == 2
    running.close()  # type: ignore[attr-defined] # a generator
    assert What.FINISHED not in {event.what for event in folder.journal.events()}
    assert ran(folder) == [("c", "measured", 1)]
    assert ran(folder) == []


def test_failed_tasks_are_measured_again_only_on_request(tmp_path: Path) -> None:
    folder = night(tmp_path, "a", "b")
    Cluster.outcomes["b"] = CRASHED
    assert ran(folder) == [("a", "measured", 1), ("b", "failed", 1)]
    assert ran(folder) == []
    assert ran(folder, Retry.INFRASTRUCTURE) == []
    assert ran(folder, Retry.FAILED) == [("b", "failed", 2)]
    Cluster.outcomes.clear()
    assert ran(folder, Retry.FAILED) == [("b", "measured", 3)]
    assert ran(folder, Retry.ALL) == [("a", "measured", 2), ("b", "measured", 4)]


def test_a_task_that_couldnt_be_prepared_is_reported_and_prepared_again_by_a_retry(tmp_path: Path) -> None:
    folder = night(tmp_path, "a", "b")
    Cluster.unprepared["a"] = UNINSTALLED
    assert ran(folder) == [("a", "failed", 1), ("b", "measured", 1)]
    assert ran(folder) == []
    assert ran(folder, Retry.INFRASTRUCTURE) == [("a", "failed", 2)]
    Cluster.unprepared.clear()
    assert ran(folder, Retry.INFRASTRUCTURE) == [("a", "measured", 3)]
    assert [task.cases[0].label for task in folder.tasks() or ()] == ["a on ort", "b on ort"]


def test_a_task_that_was_prepared_again_isnt_forgotten_when_the_process_is_killed_before_it_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = night(tmp_path, "a")
    Cluster.unprepared["a"] = UNINSTALLED
    assert ran(folder) == [("a", "failed", 1)]
    Cluster.unprepared.clear()
    with monkeypatch.context() as killed:
        killed.setattr(Cluster, "run", lambda *_: iter(()))
        assert ran(folder, Retry.FAILED) == []
    assert ran(folder) == [("a", "measured", 2)]


def test_a_failure_of_an_interrupted_preparation_isnt_tried_again(tmp_path: Path) -> None:
    folder = night(tmp_path, "a", "b")
    sample_sweeps.save(folder, folder.sweep.tasks[0], UNINSTALLED)
    assert ran(folder) == [("b", "measured", 1)]
    assert [len(task.cases) for task in folder.tasks() or ()] == [0, 1]


def test_a_retry_that_was_interrupted_goes_on_and_the_next_one_begins_again(tmp_path: Path) -> None:
    folder = night(tmp_path, "a", "b", "c")
    Cluster.outcomes["b"] = CRASHED
    assert len(ran(folder)) == 3
    running = sweep.run(folder, QUIET, retry=Retry.ALL)
    assert len(list(itertools.islice(running, 2))) == 2
    running.close()  # type: ignore[attr-defined] # a generator
    Cluster.outcomes.clear()
    assert ran(folder, Retry.ALL) == [("b", "measured", 3), ("c", "measured", 2)]
    assert [name for name, _, _ in ran(folder, Retry.ALL)] == ["a", "b", "c"]


def test_tasks_run_in_the_folder_of_the_suite_and_the_caller_is_back_afterwards(tmp_path: Path) -> None:
    before = os.getcwd()  # noqa: PTH109 - text
    ran(night(tmp_path, "a"))
    assert Cluster.working_folders == [str(tmp_path)]
    assert os.getcwd() == before  # noqa: PTH109


def test_a_working_folder_that_is_gone_is_refused(tmp_path: Path) -> None:
    folder = night(tmp_path, "a")
    gone = SweepFolder(folder.path, replace(folder.sweep, working_folder=tmp_path / "gone"))
    with pytest.raises(UsageError, match=r"the folder of the suite, .*gone, can't be entered: No such file"):
        list(sweep.run(gone, QUIET))


def test_one_process_works_on_a_sweep_at_a_time(tmp_path: Path) -> None:
    folder = night(tmp_path, "a")
    with (
        locks.FileLock(folder.lock_file, what="the sweep"),
        pytest.raises(LockError, match=rf"the sweep night is not free: in use by pid {os.getpid()}"),
    ):
        list(sweep.run(folder, QUIET))
    assert ran(folder) == [("a", "measured", 1)]


def test_options_of_the_executor_are_changed_for_good(tmp_path: Path) -> None:
    folder = night(tmp_path, "a")
    assert ran(folder) == [("a", "measured", 1)]
    list(api.resume(folder.path, retry="all", options={"time": 60}))
    list(api.resume(folder.path, options={"memory": "2G"}))
    list(api.resume(folder.path))
    assert Cluster.used == [{}, {"time": 60}, {"time": 60, "memory": "2G"}, {"time": 60, "memory": "2G"}]
    assert SweepFolder.find(folder.path).options == {"time": 60, "memory": "2G"}
    assert not folder.sweep.options  # sweep.json stays, whose hash its jobs compare


def test_an_option_that_changes_what_is_measured_stays(tmp_path: Path) -> None:
    folder = night(tmp_path, "a")
    with pytest.raises(UsageError, match="keeps its option cpus, which changes what is measured"):
        list(sweep.run(folder, QUIET, options={"cpus": 4, "time": 60}))
    assert not folder.options


def test_options_of_a_sweep_that_another_process_runs_stay(tmp_path: Path) -> None:
    folder = night(tmp_path, "a")
    with locks.FileLock(folder.lock_file, what="the sweep"), pytest.raises(LockError):
        list(sweep.run(folder, QUIET, options={"time": 60}))
    assert not folder.options


def test_damaged_options_are_named(tmp_path: Path) -> None:
    folder = night(tmp_path, "a")
    for content in (
        "[",
        "[]",
        '{"schema": "isobench.options/1", "options": 3}',
        '{"schema": "other/1", "options": {}}',
    ):
        (folder.path / "options.json").write_text(content)
        with pytest.raises(UsageError, match=r"options\.json is corrupted") as refused:
            list(sweep.run(folder, QUIET))
        assert refused.value.hint == f"Delete it, and resume: {folder.path}"


def test_a_sweep_runs_and_goes_on_from_python(tmp_path: Path) -> None:
    planned = night(tmp_path, "a", "b").sweep
    Cluster.outcomes["a"] = CRASHED
    other = tmp_path / "other"
    assert [saved.result.outcome.status for saved in api.sweep(planned, output=other)] == ["failed", "measured"]
    assert not list(api.resume(other))
    assert len(list(api.resume(other, retry="failed"))) == 1
    with pytest.raises(UsageError, match="no retry 'sometimes'") as refused:
        api.resume(other, retry="sometimes")
    assert refused.value.hint == "Use one of none, infrastructure, failed, all."
    with pytest.raises(UsageError, match="holds a sweep already"):
        api.sweep(planned, output=other)
