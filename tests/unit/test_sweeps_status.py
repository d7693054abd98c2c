from __future__ import annotations

import os
from pathlib import Path

import pytest
import sample_results
import sample_sweeps

from isobench.failures import Ending
from isobench.sweeps import status
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import What
from isobench.sweeps.outcomes import Machine, Outcomes
from isobench.sweeps.status import Status

TASKS = [sample_sweeps.task("net", case_key=f"k{batch}", axes={"batch": batch}) for batch in range(5)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    """Of five cases: one clean, one with wrong outputs, one crashed, one without its environment, one not run."""
    made = sample_sweeps.folder(tmp_path / "night", *TASKS)
    sample_sweeps.save(made, TASKS[0])
    sample_sweeps.save(made, TASKS[1], sample_results.measured(4.0, ok=False, reasons=("off by 2",)))
    sample_sweeps.save(made, TASKS[2], sample_sweeps.failed(Ending.CRASH))
    sample_sweeps.save(made, TASKS[3], sample_sweeps.failed(Ending.ENVIRONMENT))
    return made


def read(folder: SweepFolder, **pending: str) -> Status:
    return status.read(folder, Outcomes.read(folder), pending)


def test_every_case_is_measured_failed_or_left(folder: SweepFolder) -> None:
    found = read(folder)
    assert (found.total, len(found.measured), len(found.failed), found.left) == (5, 2, 2, 1)
    assert found.verdicts == {"clean": 1, "wrong": 1}
    assert found.kinds == {"crash": 1, "environment": 1}
    assert found.infrastructure == 1
    assert found.prepared


def test_the_newest_attempt_at_a_case_counts(folder: SweepFolder) -> None:
    sample_sweeps.save(folder, TASKS[2])
    assert [row.kind for row in read(folder).failed] == ["environment"]


def test_half_a_result_is_none(folder: SweepFolder) -> None:
    torn = folder.results / "20260101T000009-net-ort-ffff"
    torn.mkdir()
    (torn / "result.json").write_text('{"schema": "isobench.result/3", "id"')
    assert read(folder).left == 1


def test_a_running_task_says_where_and_since_when(folder: SweepFolder) -> None:
    key = TASKS[4].key
    event = folder.journal.write(What.RUNNING, task=key, attempt=2)
    [one] = read(folder, **{key: "pid 7"}).running
    assert (one.label, one.where, one.since, one.attempt) == ("net on ort (batch=4)", "pid 7", event.at, 2)


def test_a_task_that_waits_in_a_queue_runs_since_no_time(folder: SweepFolder) -> None:
    folder.journal.write(What.SUBMITTED, task=TASKS[4].key, job="12_4")
    [one] = read(folder, **{TASKS[4].key: "pending (job 12_4)"}).running
    assert one.since == ""


def test_what_was_tried_again_is_counted(folder: SweepFolder) -> None:
    for attempt in (1, 2, 3):
        folder.journal.write(What.RUNNING, task=TASKS[2].key, attempt=attempt)
    folder.journal.write(What.RUNNING, task=TASKS[0].key, attempt=1)
    assert read(folder).attempts == {TASKS[2].key: 3}


def test_before_it_is_prepared_the_requested_tasks_count(tmp_path: Path) -> None:
    made = SweepFolder.create(sample_sweeps.sweep(*TASKS), tmp_path / "night")
    found = read(made)
    assert (found.total, found.left, found.prepared) == (5, 5, False)


def test_results_of_another_machine_do_not_count(folder: SweepFolder) -> None:
    here = Outcomes.read(folder, machine=Machine(hostname="another", cpu="A CPU"))
    found = status.read(folder, here, {})
    assert (found.left, found.foreign, len(found.rows)) == (5, 4, 0)
    assert read(folder).foreign == 0


def test_a_look_at_a_sweep_changes_nothing_in_its_folder(folder: SweepFolder) -> None:
    def stamps() -> dict[str, int]:
        return {str(path): os.stat(path).st_mtime_ns for path in [folder.path, *folder.path.rglob("*")]}  # noqa: PTH116

    before = stamps()
    read(folder)
    assert stamps() == before
