"""Attempts at tasks -> job arrays of `isobench run-case FOLDER KEY`, written and submitted by submitit.

Of submitit only this part is used. Its wrapper in the job would requeue a job by itself when Slurm warns of the end of
its time; that is off, because isobench decides what runs again. Its states and results need accounting and aren't read.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from isobench.errors import UsageError
from isobench.executors.slurm import records
from isobench.executors.slurm.options import Options
from isobench.executors.slurm.records import Attempt, Submission
from isobench.sweeps import finding
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import What
from isobench.system import slurm

if TYPE_CHECKING:
    import submitit

# submitit's wrapper waits for a signal to requeue: for one that Slurm never sends. PYTHONSAFEPATH: modules are never
# found in the folder that the job starts in.
_SETUP = ("export SUBMITIT_PREEMPT_SIGNAL=URG", "export PYTHONSAFEPATH=1")
_UNREACHABLE = ("Unable to contact slurm controller", "timed out", "Connection refused", "Zero Bytes")


def submit(
    folder: SweepFolder, attempts: Sequence[Attempt], options: Options, exclude: Sequence[str]
) -> Iterator[Submission]:
    """Submit the attempts, in as many arrays as Slurm's limit for an array demands; yield each with its ids.

    Raises:
        UsageError: Slurm refused them.
        SlurmUnreachableError: Slurm doesn't answer.
    """
    size = slurm.largest_array()
    for start in range(0, len(attempts), size):
        submission = records.new(folder, tuple(attempts[start : start + size]), tuple(exclude))
        words = [
            [one.task for one in submission.attempts],
            [f"--attempt={one.attempt}" for one in submission.attempts],
            [f"--settled={one.settled}" for one in submission.attempts],
        ]
        with _recorded(folder, submission):
            jobs = _executor(folder, submission, options).map_array(_command(folder, options, "run-case"), *words)
        yield _known(folder, submission, [job.job_id for job in jobs])


def submit_preparation(folder: SweepFolder, copy: SweepFolder, options: Options, exclude: Sequence[str]) -> Submission:
    """Submit a job that makes environments and builds on a node, for a copy of the sweep.

    Raises:
        UsageError: Slurm refused it.
        SlurmUnreachableError: Slurm doesn't answer.
    """
    submission = records.new(folder, (Attempt(task="", attempt=1),), tuple(exclude))
    with _recorded(folder, submission):
        job = _executor(folder, submission, options).submit(_command(copy, options, "run-case", "--prepare"))
    return _known(folder, submission, [job.job_id])


@contextmanager
def _recorded(folder: SweepFolder, submission: Submission) -> Iterator[None]:
    """Write the record first; if Slurm refuses the jobs, they don't count."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    records.write(folder, submission)
    try:
        with redirect_stderr(io.StringIO()):  # submitit also prints what sbatch says
            yield
    except (FailedJobError, FailedSubmissionError) as error:
        reason = _reason(error)
        if any(words in reason for words in _UNREACHABLE):
            # Perhaps it has them all the same: whoever watches next looks for them by their name.
            raise slurm.SlurmUnreachableError("Slurm doesn't answer: sbatch failed", details=reason) from None
        records.void(folder, submission)
        raise UsageError(
            "Slurm refused the job",
            details=reason,
            hint=f"With what it allows: isobench sweep resume {finding.reference(folder)} --slurm KEY=VALUE",
        ) from None


def _known(folder: SweepFolder, submission: Submission, ids: Sequence[str]) -> Submission:
    taken = zip(submission.attempts, ids, strict=True)
    known = replace(submission, attempts=tuple(replace(one, job=job) for one, job in taken))
    records.write(folder, known)
    for one in known.attempts:
        folder.journal.write(What.SUBMITTED, task=one.task, attempt=one.attempt, job=one.job)
    return known


def _command(folder: SweepFolder, options: Options, *words: str) -> Any:
    from submitit.helpers import CommandFunction

    python = options.python or sys.executable
    plan = f"--plan={folder.plan_sha256}"
    return CommandFunction([python, "-P", "-m", "isobench", *words, plan, str(folder.path)])


def _executor(folder: SweepFolder, submission: Submission, options: Options) -> submitit.SlurmExecutor:
    import shlex

    import submitit

    python = shlex.quote(options.python or sys.executable)
    place = records.jobs_folder(folder, submission)
    executor = submitit.SlurmExecutor(folder=place, max_num_timeout=0, python=python)
    further: dict[str, Any] = {"chdir": str(folder.path), "no-requeue": True, "ntasks": 1}
    executor.update_parameters(
        job_name=submission.name,
        comment=folder.sweep.name,
        nodes=1,
        use_srun=False,
        wckey=None,
        array_parallelism=options.at_once or len(submission.attempts),
        setup=[*_SETUP, *options.setup],
        partition=options.partition or None,
        account=options.account or None,
        qos=options.qos or None,
        time=options.time,
        constraint=options.constraint or None,
        exclude=",".join(submission.exclude) or None,
        exclusive=True if options.exclusive else None,
        cpus_per_task=options.cpus,
        mem=options.memory or None,
        gres=options.gres or None,
        additional_parameters=further,
    )
    return executor


def _reason(error: Exception) -> str:
    """What sbatch wrote, without submitit's traceback."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line.startswith("sbatch:")]
    return "\n".join(said or lines[-3:])
