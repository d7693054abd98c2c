from __future__ import annotations

from pathlib import Path

import pytest
import sample_sweeps

from isobench.failures import Ending
from isobench.planning.retry import Retry
from isobench.results.row import Row
from isobench.sweeps import tally as tally_module
from isobench.sweeps.estimate import History
from isobench.sweeps.outcomes import Outcomes
from isobench.sweeps.tally import Tally
from isobench.sweeps.task import Task

TASKS = [sample_sweeps.task("net", case_key=f"k{batch}", axes={"batch": batch}) for batch in range(4)]


class Clock:
    """A clock that is set by hand."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(tally_module, "time", made)
    return made


def row(task: Task, *, status: str = "measured", duration_s: float = 2.0) -> Row:
    return Row(name="a", id="a", status=status, task=task.key, duration_s=duration_s)


def tally(path: Path, retry: Retry = Retry.NONE, history: History | None = None) -> Tally:
    """Of a sweep of four cases: one is measured, one failed."""
    folder = sample_sweeps.folder(path, *TASKS)
    sample_sweeps.save(folder, TASKS[0])
    sample_sweeps.save(folder, TASKS[1], sample_sweeps.failed(Ending.CRASH))
    return Tally(TASKS, Outcomes.read(folder), retry, history or History())


def test_what_has_a_result_is_done_and_the_rest_is_left(tmp_path: Path) -> None:
    found = tally(tmp_path)
    assert (found.total, found.done, found.failed, found.left) == (4, 2, 1, 2)


def test_a_failure_that_is_tried_again_is_left_and_not_counted_as_failed(tmp_path: Path) -> None:
    found = tally(tmp_path, Retry.FAILED)
    assert (found.done, found.failed, found.left) == (1, 0, 3)
    found.add(row(TASKS[1]))
    assert (found.done, found.failed, found.left) == (2, 0, 2)


def test_a_second_attempt_at_a_case_counts_once(tmp_path: Path) -> None:
    found = tally(tmp_path)
    for _ in range(2):
        found.add(row(TASKS[2], status="failed"))
    assert (found.done, found.left) == (3, 1)


def test_guesses_are_scaled_by_how_far_off_they_were(tmp_path: Path, clock: Clock) -> None:
    found = tally(tmp_path)
    before_s = found.left_s
    clock.now_s += 1000
    found.add(row(TASKS[2], duration_s=before_s))  # half of the guess was for this case: it was off by a factor of two
    assert found.left_s == before_s


def test_a_case_that_fails_at_once_says_nothing_about_those_that_are_left(tmp_path: Path) -> None:
    found = tally(tmp_path)
    before_s = found.left_s
    found.add(row(TASKS[2], status="failed", duration_s=0.0))
    assert found.left_s == before_s / 2


def test_what_was_measured_before_in_the_same_way_is_not_scaled(tmp_path: Path, clock: Clock) -> None:
    known = Row(name="a", id="a", status="measured", case_key="k3", duration_s=5.0)
    found = tally(tmp_path, history=History([known]))
    clock.now_s += 1000
    found.add(row(TASKS[2], duration_s=1000.0))
    assert found.left_s == 5.0


def test_cases_that_run_side_by_side_take_less_time_together(tmp_path: Path, clock: Clock) -> None:
    history = History([Row(name="a", id="a", status="measured", case_key=f"k{n}", duration_s=60.0) for n in range(4)])
    found = tally(tmp_path, Retry.ALL, history)
    assert found.left_s == 240.0
    clock.now_s += 60
    for task in TASKS[:2]:
        found.add(row(task, duration_s=60.0))
    assert found.left_s == 60.0


def test_interleaved_cases_are_not_taken_for_cases_side_by_side(tmp_path: Path, clock: Clock) -> None:
    tasks = [sample_sweeps.task("net", "ort", "trt", case_key="k", repeat=repeat) for repeat in (1, 2)]
    folder = sample_sweeps.folder(tmp_path, *tasks)
    history = History([Row(name="a", id="a", status="measured", case_key="k", duration_s=60.0)])
    found = Tally(tasks, Outcomes.read(folder), Retry.NONE, history)
    assert found.left_s == 120.0
    clock.now_s += 60
    for _ in range(2):
        found.add(row(tasks[0], duration_s=60.0))
    assert found.left_s == 60.0
