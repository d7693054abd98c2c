"""What is done, failed and left of a sweep, as its Results say."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import sample_results
import sample_sweeps

from isobench.failures import Ending
from isobench.planning.retry import Retry
from isobench.results import Failed, Provenance
from isobench.sweeps.journal import What
from isobench.sweeps.outcomes import Machine, Outcomes

MEASURED = sample_results.measured(4.0)
CRASHED = Failed(kind=Ending.CRASH, message="it crashed")
UNINSTALLED = Failed(kind=Ending.ENVIRONMENT, message="it can't be installed")
ONE = Machine(hostname="one", cpu="A CPU")
"""The machine of the sample results."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))


def test_a_task_is_done_when_each_of_its_cases_has_a_result(tmp_path: Path) -> None:
    alone, both = sample_sweeps.task("a", case_key="a"), sample_sweeps.task("b", "ort", "openvino", case_key="b")
    folder = sample_sweeps.folder(tmp_path / "night", alone, both)
    sample_sweeps.save(folder, alone, MEASURED)
    sample_sweeps.save(folder, both, MEASURED, runtime="ort")
    found = Outcomes.read(folder, machine=ONE)
    assert found.is_done(alone)
    assert not found.is_done(both)
    assert [task.key for task in found.left([alone, both])] == [both.key]
    sample_sweeps.save(folder, both, CRASHED, runtime="openvino")
    assert Outcomes.read(folder, machine=ONE).is_done(both)


def test_a_failed_task_is_left_only_if_it_is_retried(tmp_path: Path) -> None:
    good, crashed, uninstalled = (sample_sweeps.task(name, case_key=name) for name in "abc")
    tasks = (good, crashed, uninstalled)
    folder = sample_sweeps.folder(tmp_path / "night", *tasks)
    for task, outcome in zip(tasks, (MEASURED, CRASHED, UNINSTALLED), strict=True):
        sample_sweeps.save(folder, task, outcome)
    found = Outcomes.read(folder, machine=ONE)
    left = {retry: {task.key for task in found.left(tasks, retry)} for retry in Retry}
    assert left == {
        Retry.NONE: set(),
        Retry.INFRASTRUCTURE: {uninstalled.key},
        Retry.FAILED: {crashed.key, uninstalled.key},
        Retry.ALL: {task.key for task in tasks},
    }
    assert [one.kind for one in found.failures(crashed)] == [Ending.CRASH]
    assert not found.failures(good)


def test_the_newest_attempt_counts_though_its_id_sorts_before_the_other(tmp_path: Path) -> None:
    task = sample_sweeps.task("a", case_key="a")
    folder = sample_sweeps.folder(tmp_path / "night", task)
    sample_sweeps.save(folder, task.at(2), MEASURED)
    sample_sweeps.save(folder, task.at(1), CRASHED)
    found = Outcomes.read(folder, machine=ONE)
    assert not found.failures(task)
    assert [one.attempt for one in found.left([task], Retry.ALL)] == [3]


def test_an_attempt_that_left_no_result_is_counted(tmp_path: Path) -> None:
    task = sample_sweeps.task("a", case_key="a")
    folder = sample_sweeps.folder(tmp_path / "night", task)
    folder.journal.write(What.RUNNING, task=task.key, attempt=1)
    assert [one.attempt for one in Outcomes.read(folder).left([task])] == [2]


def test_results_of_earlier_attempts_dont_count_for_a_task_that_was_prepared_again(tmp_path: Path) -> None:
    task = sample_sweeps.task("a", case_key="a")
    folder = sample_sweeps.folder(tmp_path / "night", task)
    sample_sweeps.save(folder, task, UNINSTALLED)
    found = Outcomes.read(folder, machine=ONE)
    assert found.is_done(task)
    assert not found.is_done(task.at(2))


def test_results_of_another_machine_dont_count_here(tmp_path: Path) -> None:
    task = sample_sweeps.task("a", case_key="a")
    folder = sample_sweeps.folder(tmp_path / "night", task)
    sample_sweeps.save(folder, task, MEASURED)
    assert not Outcomes.read(folder, machine=Machine(hostname="two", cpu="A CPU")).is_done(task)
    assert not Outcomes.read(folder, machine=Machine(hostname="one", cpu="Another CPU")).is_done(task)
    assert Outcomes.read(folder).is_done(task)


def test_a_failure_before_the_machine_is_known_counts_where_the_journal_says_that_it_was(tmp_path: Path) -> None:
    task = sample_sweeps.task("a", case_key="a")
    folder = sample_sweeps.folder(tmp_path / "night", task)
    sample_sweeps.save(folder, task, UNINSTALLED, provenance=Provenance())
    folder.journal.write(What.RUNNING, task=task.key)
    assert Outcomes.read(folder, machine=Machine(hostname=os.uname().nodename, cpu="A CPU")).is_done(task)
    assert not Outcomes.read(folder, machine=Machine(hostname="another", cpu="A CPU")).is_done(task)


def test_a_failure_counts_although_its_process_was_killed_before_it_wrote_to_the_journal(tmp_path: Path) -> None:
    task = sample_sweeps.task("a", case_key="a")
    folder = sample_sweeps.folder(tmp_path / "night", task)
    sample_sweeps.save(folder, task, UNINSTALLED, provenance=Provenance())
    assert Outcomes.read(folder, machine=ONE).is_done(task)


def test_a_result_that_isnt_whole_doesnt_count(tmp_path: Path) -> None:
    task = sample_sweeps.task("a", case_key="a")
    folder = sample_sweeps.folder(tmp_path / "night", task)
    saved = sample_sweeps.save(folder, task, MEASURED)
    file = folder.results / saved.id / "result.json"
    file.write_bytes(file.read_bytes()[:100])
    assert not Outcomes.read(folder).is_done(task)


def test_a_result_without_a_line_in_the_journal_counts(tmp_path: Path) -> None:
    task = sample_sweeps.task("a", case_key="a")
    folder = sample_sweeps.folder(tmp_path / "night", task)
    sample_sweeps.save(folder, task, MEASURED)
    assert not folder.journal.events()
    assert Outcomes.read(folder, machine=ONE).is_done(task)


def test_this_machine_has_a_name_and_a_cpu() -> None:
    here = Machine.here()
    assert here.hostname == os.uname().nodename
    assert here.cpu
    assert here == replace(here)
