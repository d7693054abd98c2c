"""Why a job ended without a Result."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sample_sweeps

from isobench.executors.slurm import endings, records
from isobench.executors.slurm.records import Attempt, Submission
from isobench.failures import Ending
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import What
from isobench.system import slurm

ATTEMPT = Attempt(task="0123456789ab", attempt=2, job="12_3")
CANCELLED = "slurmstepd: error: *** JOB 15 ON n7 CANCELLED AT 2026-11-28T19:24:00{} ***\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    monkeypatch.setenv("PATH", "/nonexistent")  # no scontrol that could remember the job
    return SweepFolder.create(sample_sweeps.sweep(executor="slurm"), tmp_path / "sweep")


def ended(folder: SweepFolder, log: str = "", state: str = "") -> endings.JobEnding:
    submission = records.new(folder, (ATTEMPT,), ())
    file = records.jobs_folder(folder, submission) / "12_3_0_log.err"
    file.parent.mkdir(parents=True)
    file.write_text(log)
    job = slurm.Job(id="12_3", name=submission.name, state=state, node="n7") if state else None
    return endings.of(folder, submission, ATTEMPT, job, "")


@pytest.mark.parametrize(
    ("due", "kind", "words"),
    [
        (" DUE TO TIME LIMIT", Ending.TIMEOUT, "the time limit of 30 min was reached: job 12_3 on n7"),
        (" DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS", Ending.LOST, "on n7 .*its node failed"),
        (" DUE TO PREEMPTION", Ending.LOST, "a job of higher priority took its node"),
        ("", Ending.LOST, "somebody cancelled it"),
    ],
)
def test_what_slurm_has_forgotten_the_log_says(folder: SweepFolder, due: str, kind: Ending, words: str) -> None:
    ending = ended(folder, CANCELLED.format(due))
    error = ending.error(2, 30, "night")
    assert (ending.node, error.kind, ending.is_final) == ("n7", kind, kind is Ending.TIMEOUT)
    assert re.search(words, error.message)
    assert "CANCELLED AT" in error.details
    way_out = "--slurm time=MINUTES" if ending.is_final else "isobench sweep retry night --retry infrastructure"
    assert error.hint.endswith(way_out)


def test_a_job_that_used_too_much_memory_is_not_tried_again(folder: SweepFolder) -> None:
    ending = ended(folder, state="OUT_OF_MEMORY")
    assert ending.is_final
    error = ending.error(1, None, "night")
    assert error.kind is Ending.OUT_OF_MEMORY
    assert error.hint == "With more memory: isobench sweep retry night --slurm memory=SIZE"


def test_the_error_that_isobench_reported_on_the_node_is_the_reason(folder: SweepFolder) -> None:
    note = f"{endings.REFUSED}n7 can't enter /data/suite\nIt must be shared."
    folder.journal.write(What.LOST, task=ATTEMPT.task, attempt=2, job="12_3", note=note)
    folder.journal.write(What.LOST, task=ATTEMPT.task, attempt=2, job="12_4", note=f"{endings.REFUSED}another")
    ending = ended(folder, "Traceback ...", state="FAILED")
    assert ending.sentence == "job 12_3 on n7 ended without a result: n7 can't enter /data/suite"
    assert "It must be shared." in ending.evidence
    assert "Traceback" not in ending.evidence


def test_what_submitit_adds_to_the_log_is_left_out(folder: SweepFolder) -> None:
    log = "relu on ort: measuring\n" + CANCELLED.format(" DUE TO TIME LIMIT")
    log += (
        "submitit WARNING (now) - Bypassing signal SIGTERM\nsubmitit ERROR (now) - Submitted job\n" + "  File x\n" * 60
    )
    ending = ended(folder, log)
    assert ending.is_final
    assert ending.evidence.splitlines()[-1].endswith("DUE TO TIME LIMIT ***")
    assert "submitit" not in ending.evidence


def test_a_job_that_nobody_remembers_is_lost_without_a_reason(folder: SweepFolder) -> None:
    assert ended(folder).sentence == "job 12_3 ended without a result: Slurm no longer remembers why"


def test_records_are_read_as_they_were_written(folder: SweepFolder) -> None:
    first = records.new(folder, (ATTEMPT, Attempt(task="b", attempt=1)), ("n1",))
    records.write(folder, first)
    [read] = records.read(folder)
    assert read == first
    assert isinstance(read, Submission)
    assert not read.is_known
    assert read.name.startswith(records.prefix(folder))
    records.void(folder, first)
    assert records.is_void(folder, first)


def test_sweeps_of_one_name_in_two_folders_have_jobs_of_different_names(folder: SweepFolder, tmp_path: Path) -> None:
    other = SweepFolder.create(folder.sweep, tmp_path / "other")
    assert records.prefix(folder) != records.prefix(other)
