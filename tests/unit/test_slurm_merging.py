"""What several architectures have prepared becomes one list of tasks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sample_sweeps

from isobench import results
from isobench.console import Console
from isobench.executors.slurm import merging
from isobench.failures import Ending
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.results import Failed, Result
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import What
from isobench.sweeps.task import PlannedCase, Task, keyed

FAILED = sample_sweeps.failed(Ending.ENVIRONMENT, "no wheel for openvino")


def prepared(task: Task, *keys: str) -> Task:
    cases = tuple(
        PlannedCase(label=f"net on {one}", case_key=key) for one, key in zip(task.runtimes, keys, strict=True)
    )
    return replace(task, cases=cases)


def alone(task: Task, runtime: str) -> Task:
    """The task of one of several interleaved Cases."""
    plan = replace(task.plan, runtimes=(RuntimeChoice.parse(runtime),))
    return replace(keyed(replace(task, plan=plan)), requested=task.key)


class World:
    """A sweep of `requested`, and what each architecture has made of it."""

    def __init__(self, folder: Path, *requested: Task) -> None:
        sweep = sample_sweeps.sweep(*requested)
        self.folder = SweepFolder.create(sweep, folder / "sweep")
        self.copies = {name: SweepFolder.create(sweep, folder / name) for name in ("x86_64", "aarch64")}
        self.made: dict[str, tuple[Task, ...]] = {}

    def make(self, architecture: str, *tasks: Task) -> None:
        self.made[architecture] = tasks
        for task in tasks:
            if not task.cases:
                sample_sweeps.save(self.copies[architecture], task, FAILED)

    def merged(self) -> list[Task]:
        return [*merging.merged(self.folder, self.copies, self.made, Console())]

    def saved(self) -> list[str]:
        """The tasks that have a failed Result in the sweep."""
        found = [one for one in results.load_all(self.folder.results) if isinstance(one, Result)]
        return [one.sweep.task for one in found if one.sweep and isinstance(one.outcome, Failed)]


def test_a_task_has_the_cases_of_each_architecture(tmp_path: Path) -> None:
    task = sample_sweeps.task("net", "ort")
    world = World(tmp_path, task)
    world.make("x86_64", prepared(task, "a"))
    world.make("aarch64", prepared(task, "b"))
    [one] = world.merged()
    assert {name: cases[0].case_key for name, cases in one.by_architecture.items()} == {"x86_64": "a", "aarch64": "b"}
    assert one.cases[0].case_key == "a"
    assert not world.saved()


def test_what_one_architecture_cannot_prepare_is_measured_on_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [sample_sweeps.task("net", "openvino"), sample_sweeps.task("net", "ort")]
    world = World(tmp_path, *tasks)
    world.make("aarch64", tasks[0], prepared(tasks[1], "b"))
    world.make("x86_64", prepared(tasks[0], "a"), prepared(tasks[1], "a"))
    assert [set(one.by_architecture) for one in world.merged()] == [{"x86_64"}, {"aarch64", "x86_64"}]
    assert not world.saved()
    assert "1 of 2 tasks aren't measured on aarch64: no wheel for openvino" in capsys.readouterr().err


def test_what_none_can_prepare_is_one_failure(tmp_path: Path) -> None:
    task = sample_sweeps.task("net", "openvino")
    world = World(tmp_path, task)
    world.make("aarch64", task)
    world.make("x86_64", task)
    [one] = world.merged()
    assert (one.cases, one.by_architecture) == ((), {})
    assert world.saved() == [task.key]
    [ended] = [event for event in world.folder.journal.events() if event.what is What.ENDED]
    assert ended.results


def test_a_failure_that_a_killed_process_has_moved_isnt_moved_again(tmp_path: Path) -> None:
    tasks = [sample_sweeps.task("net", "openvino"), sample_sweeps.task("net", "ort")]
    world = World(tmp_path, *tasks)
    world.make("x86_64", *tasks)
    sample_sweeps.save(world.folder, tasks[0], FAILED)
    world.merged()
    assert world.saved() == [task.key for task in tasks]


def test_interleaved_cases_stay_together_where_one_architecture_can_prepare_them_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = sample_sweeps.task("net", "ort", "openvino")
    world = World(tmp_path, both)
    world.make("aarch64", prepared(alone(both, "ort"), "b"), alone(both, "openvino"))
    world.make("x86_64", prepared(both, "a", "c"))
    [one] = world.merged()
    assert one.runtimes == ("ort", "openvino")
    assert set(one.by_architecture) == {"x86_64"}
    assert not world.saved()
    assert "1 of 1 tasks aren't measured on aarch64: no wheel for openvino" in capsys.readouterr().err


def test_interleaved_cases_that_cannot_stay_together_are_measured_where_they_can(tmp_path: Path) -> None:
    both = sample_sweeps.task("net", "ort", "openvino")
    ort, openvino = alone(both, "ort"), alone(both, "openvino")
    world = World(tmp_path, both)
    world.make("aarch64", prepared(ort, "b"), openvino)
    world.make("x86_64", openvino, prepared(ort, "a"))
    merged = {one.runtimes: one for one in world.merged()}
    assert set(merged[("ort",)].by_architecture) == {"aarch64", "x86_64"}
    assert world.saved() == [openvino.key]


def test_an_architecture_whose_job_is_lost_is_not_used(tmp_path: Path) -> None:
    task = sample_sweeps.task("net", "ort")
    world = World(tmp_path, task)
    world.make("x86_64", prepared(task, "a"))
    [one] = world.merged()
    assert set(one.by_architecture) == {"x86_64"}


def test_a_task_that_none_has_tried_stays_as_it_was_requested(tmp_path: Path) -> None:
    tasks = [sample_sweeps.task("net", "ort"), sample_sweeps.task("net", "openvino")]
    world = World(tmp_path, *tasks)
    world.make("aarch64", prepared(tasks[0], "a"))  # the other one's device is an x86, whose job is lost
    assert world.merged() == [
        replace(prepared(tasks[0], "a"), by_architecture={"aarch64": world.made["aarch64"][0].cases}),
        tasks[1],
    ]
    assert not world.saved()
