"""Why a job ended without a Result.

Slurm remembers some of it for some minutes; the job's log, and what isobench wrote to the journal on the node, stay.
"""

from __future__ import annotations

import re

from isobench.errors import IsobenchError
from isobench.executors.slurm import records
from isobench.executors.slurm.records import Attempt, Submission
from isobench.failures import Ending
from isobench.record import record
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import Journal, What
from isobench.system import slurm

_WHY = re.compile(
    r"slurmstepd: error: \*\*\* (?:JOB|STEP) \S+ ON (?P<node>\S+) CANCELLED AT \S+(?: DUE TO (?P<why>.+?))? \*\*\*"
)
_STATES = {"TIME LIMIT": "TIMEOUT", "NODE FAILURE": "NODE_FAIL", "PREEMPTION": "PREEMPTED"}
_WORDS = {
    "TIMEOUT": "its time limit was reached",
    "OUT_OF_MEMORY": "it used more memory than it had requested",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node failed to boot",
    "PREEMPTED": "a job of higher priority took its node",
    "CANCELLED": "somebody cancelled it",
    "DEADLINE": "its deadline had passed",
    "COMPLETED": "it ended, but wrote no result",
    "FAILED": "isobench failed on the node",
    "": "Slurm no longer remembers why",
}
_FINAL = {"TIMEOUT": Ending.TIMEOUT, "OUT_OF_MEMORY": Ending.OUT_OF_MEMORY}
"""What would happen again on every node."""
PATIENCE_S = 90.0
"""How long what a job has written may take to appear after its end: a network file system shows it late."""
REFUSED = "refused: "
"""How the note begins that `isobench run-case` writes to the journal when it can't measure on its node."""


@record(frozen=True, slots=True, kw_only=True)
class JobEnding:
    """How an attempt ended. `refusal` is the error that isobench on the node reported, None where it reported none."""

    job: str
    node: str
    state: str
    evidence: str
    refusal: str = ""

    @property
    def is_final(self) -> bool:
        """Would another attempt end in the same way?"""
        return self.state in _FINAL

    @property
    def sentence(self) -> str:
        """The ending in words."""
        where = f" on {self.node}" if self.node else ""
        why = self.refusal.partition("\n")[0] or _WORDS.get(self.state, f"its state is {self.state}")
        return f"job {self.job}{where} ended without a result: {why}"

    def error(self, tries: int, time_limit: int | None, sweep: str) -> IsobenchError:
        """The failure of a task that isn't tried again. `sweep` is how commands name the sweep."""
        if self.state == "TIMEOUT":
            limit = f"of {time_limit} min" if time_limit else "of its partition"
            return IsobenchError(
                f"the time limit {limit} was reached: job {self.job} on {self.node or 'its node'}",
                kind=Ending.TIMEOUT,
                details=self.evidence,
                hint=f"With a longer limit: isobench sweep retry {sweep} --slurm time=MINUTES",
            )
        if self.state == "OUT_OF_MEMORY":
            return IsobenchError(
                self.sentence,
                kind=Ending.OUT_OF_MEMORY,
                details=self.evidence,
                hint=f"With more memory: isobench sweep retry {sweep} --slurm memory=SIZE",
            )
        times = "once" if tries == 1 else f"{tries} times"
        return IsobenchError(
            f"lost {times}; {self.sentence}",
            kind=Ending.LOST,
            details=self.evidence,
            hint=f"Measure it again: isobench sweep retry {sweep} --retry infrastructure",
        )


def patience_s(job: slurm.Job | None, *, was_seen: bool, poll_s: float) -> float:
    """How long to wait, after a job's end, for what it has written. `was_seen`: at work, before Slurm forgot it."""
    # Slurm forgets some minutes after the end, and on some clusters at once.
    ended_well = job.state == "COMPLETED" if job else was_seen
    return PATIENCE_S if ended_well else poll_s


def of(
    folder: SweepFolder,
    submission: Submission,
    attempt: Attempt,
    job: slurm.Job | None,
    node: str,
    *,
    journal: Journal | None = None,
) -> JobEnding:
    """How an attempt ended whose job neither runs nor waits. `node` is where it was last seen, "" if unknown.

    `journal` is that to which the job wrote, if it isn't the sweep's.
    """
    log = records.log(folder, submission, attempt.job)
    said = _WHY.search(log)
    state = job.state if job else ""
    if said and said["why"]:
        state = next((name for words, name in _STATES.items() if words in said["why"]), state)
    elif said and not state:
        state = "CANCELLED"
    node = (job.node if job else "") or node or (said["node"] if said else "")
    lines = [f"Slurm: {state}{f', reason {job.reason}' if job and job.reason else ''}"] if state else []
    code = slurm.exit_code(attempt.job) if job else ""
    lines += [f"exit code {code}"] if code else []
    refusal = _refusal(journal or folder.journal, attempt)
    lines += [refusal or _shown(log)]
    return JobEnding(job=attempt.job, node=node, state=state, evidence="\n".join(filter(None, lines)), refusal=refusal)


def _shown(log: str) -> str:
    """The lines of a job's log that help: without the traceback of submitit, which only repeats them."""
    lines = log.partition("submitit ERROR")[0].splitlines()
    return "\n".join([line for line in lines if not line.startswith("submitit ")][-20:])


def _refusal(journal: Journal, attempt: Attempt) -> str:
    """The error that `isobench run-case` reported from the node, "" if it reported none."""
    for event in journal.events():
        if event.what is What.LOST and event.job == attempt.job and event.note.startswith(REFUSED):
            return event.note.removeprefix(REFUSED)
    return ""
