"""Watches the jobs of a sweep: submits what is left, yields what arrives, and tries what was lost on another node.

Whether a task is done, the Results in the folder say; whether it is at work, `squeue`. A process that watches can be
interrupted at any time: the jobs go on, and the next one continues from the records in the folder.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from isobench.errors import UsageError
from isobench.executors.slurm import endings, records, submitting
from isobench.executors.slurm.arrivals import Arrivals
from isobench.executors.slurm.nodes import Nodes
from isobench.executors.slurm.options import Options
from isobench.executors.slurm.records import Attempt, Submission
from isobench.sweeps import finding
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import What
from isobench.system import slurm

if TYPE_CHECKING:
    from isobench.console import Progress
    from isobench.results import SavedResult
    from isobench.sweeps.task import Task

REFUSALS = 3
"""So many tasks that isobench refused on the nodes, and no Result at all, end the sweep: the others would fail, too."""


class Watch:
    """A process at work on a sweep's jobs."""

    def __init__(self, folder: SweepFolder, tasks: Sequence[Task], options: Options, progress: Progress) -> None:
        self._folder = folder
        self._tasks = {task.key: task for task in tasks}
        self._options = options
        self._progress = progress
        self._arrivals = Arrivals(folder)
        self._nodes = Nodes(options)
        self._prefix = records.prefix(folder)
        self._waiting: list[Attempt] = []
        self._at_work: dict[str, tuple[Submission, Attempt]] = {}
        self._avoided: dict[str, set[str]] = defaultdict(set)
        self._seen_on: dict[str, str] = {}
        self._gone_since: dict[str, float] = {}
        self._may_use_any: set[str] = set()
        self._refused: set[str] = set()
        self._has_arrived = False
        self._is_unreachable = False
        self._mark = records.cancelled(folder)
        self._was_cancelled = False

    def run(self) -> Iterator[SavedResult]:
        """Yield each Result of the tasks as it arrives, until nothing is at work.

        Raises:
            UsageError: Slurm refuses the jobs, or every node refuses to measure.
        """
        earlier = {saved.name for saved in self._arrivals.new()}
        self._end_strays()
        self._continue_or_wait()
        if self._at_work:
            self._progress.note(f"{len(self._at_work)} tasks were submitted already; following them")
        while True:
            yield from self._look(earlier)
            if self._is_cancelled():
                self._progress.note("the sweep was cancelled; `isobench sweep resume` goes on with it")
                return
            try:
                self._submit()
            except slurm.SlurmUnreachableError as error:
                self._unreachable(error)
                self._end_strays()
            if not self._at_work and not self._waiting:
                return
            time.sleep(self._options.poll)

    def _is_cancelled(self) -> bool:
        return self._was_cancelled or records.cancelled(self._folder) != self._mark

    def _end_strays(self) -> None:
        """End jobs that no record names, because the process that submitted or cancelled them was killed meanwhile."""
        submissions = records.read(self._folder)
        while True:
            jobs = self._jobs()
            counted = {attempt.job for one in submissions if not one.is_void for attempt in one.attempts}
            strays = [job.id for job in (jobs or {}).values() if job.is_active and job.id not in counted]
            if jobs is not None and not strays:
                break
            slurm.cancel(strays)
            time.sleep(min(1.0, self._options.poll))
        for one in submissions:
            if not one.is_known and not one.is_void:
                records.void(self._folder, one)

    def _continue_or_wait(self) -> None:
        """Continue with the jobs of an earlier process; what has none waits to be submitted."""
        latest: dict[str, tuple[Submission, Attempt]] = {}
        for submission in records.read(self._folder):
            for attempt in submission.attempts if not submission.is_void else ():
                latest[attempt.task] = submission, attempt
        for task in self._tasks.values():
            if task.key not in latest:
                self._waiting.append(Attempt(task=task.key, attempt=task.attempt, settled=task.attempt - 1))
                continue
            submission, attempt = latest[task.key]
            if self._arrivals.are_complete(task, after=attempt.settled):
                number = max(task.attempt, attempt.attempt + 1)
                self._waiting.append(Attempt(task=task.key, attempt=number, settled=number - 1))
            else:
                self._at_work[task.key] = submission, attempt
                self._avoided[task.key] |= set(submission.exclude)

    def _submit(self) -> None:
        """Submit what waits: an array for each set of nodes that must be avoided."""
        alike: dict[tuple[frozenset[str], str, tuple[str, ...]], list[Attempt]] = defaultdict(list)
        for attempt in self._waiting:
            task = self._tasks[attempt.task]
            alike[frozenset(self._avoided[task.key]), task.plan.device, tuple(task.by_architecture)].append(attempt)
        groups: dict[tuple[str, ...], list[Attempt]] = defaultdict(list)
        for attempts in alike.values():
            groups[self._excluded(attempts[0].task)] += attempts
        for exclude, attempts in groups.items():
            self._progress.stage(f"submitting {len(attempts)} jobs")
            for submission in submitting.submit(self._folder, attempts, self._options, exclude):
                self._at_work |= {attempt.task: (submission, attempt) for attempt in submission.attempts}
                self._waiting = [attempt for attempt in self._waiting if attempt.task not in self._at_work]
                if self._is_cancelled():
                    slurm.cancel([attempt.job for attempt in submission.attempts])
                    records.void(self._folder, submission)
                    return

    def _look(self, earlier: set[str]) -> Iterator[SavedResult]:
        """Ask Slurm, then read what has arrived: in this order, a job that is gone has written what it ever will."""
        jobs = self._jobs()
        for saved in self._arrivals.new():
            if saved.name not in earlier and saved.result.sweep and saved.result.sweep.task in self._tasks:
                self._has_arrived = True
                yield saved
        for key, (_, attempt) in list(self._at_work.items()):
            if self._arrivals.are_complete(self._tasks[key], after=attempt.settled):
                del self._at_work[key]
        if jobs is None or self._is_cancelled():
            return
        for key, (submission, attempt) in list(self._at_work.items()):
            job = jobs.get(attempt.job)
            if job and job.is_active:
                self._seen_on[key] = job.node
                self._gone_since.pop(key, None)
            elif self._is_gone_for_good(key, job):
                del self._at_work[key]
                if records.is_void(self._folder, submission):
                    self._was_cancelled = True
                    return
                yield from self._ended(submission, attempt, job)
        self._let_use_any_node(jobs)
        self._progress.stage(words(jobs.values()))

    def _let_use_any_node(self, jobs: Mapping[str, slurm.Job]) -> None:
        """Jobs that avoid the node that lost them would wait for ever if no other node is left."""
        for key, (submission, attempt) in self._at_work.items():
            job = jobs.get(attempt.job)
            if not (job and job.state == "PENDING" and submission.exclude and key not in self._may_use_any):
                continue
            with suppress(slurm.SlurmUnreachableError):
                exclude = self._excluded(key)
                if set(exclude) < set(submission.exclude):
                    slurm.allow(attempt.job, exclude)
                    self._may_use_any.add(key)

    def _excluded(self, key: str) -> tuple[str, ...]:
        """The nodes that the task must not use."""
        task = self._tasks[key]
        return self._nodes.excluded(
            self._avoided[key], device=task.plan.device, architectures=task.by_architecture.keys()
        )

    def _jobs(self) -> dict[str, slurm.Job] | None:
        """This sweep's jobs by their ids; None where Slurm doesn't answer, which says nothing of the jobs."""
        try:
            found = {job.id: job for job in slurm.jobs(prefix=self._prefix)}
        except slurm.SlurmUnreachableError as error:
            self._unreachable(error)
            return None
        self._is_unreachable = False
        return found

    def _unreachable(self, error: slurm.SlurmUnreachableError) -> None:
        if not self._is_unreachable:
            self._progress.note(f"{error.message}; asking again every {self._options.poll:g} s\n{error.details}")
        self._is_unreachable = True

    def _is_gone_for_good(self, key: str, job: slurm.Job | None) -> bool:
        """Has the job ended so long ago that its Result would be here?"""
        since = self._gone_since.setdefault(key, time.monotonic())
        patience_s = endings.patience_s(job, was_seen=key in self._seen_on, poll_s=self._options.poll)
        return time.monotonic() - since >= patience_s

    def _ended(self, submission: Submission, attempt: Attempt, job: slurm.Job | None) -> Iterator[SavedResult]:
        """Try a task again whose job has ended without its Results, or save failed ones."""
        task = self._tasks[attempt.task]
        self._gone_since.pop(task.key, None)
        self._may_use_any.discard(task.key)
        ending = endings.of(self._folder, submission, attempt, job, self._seen_on.pop(task.key, ""))
        self._folder.journal.write(
            What.LOST, task=task.key, attempt=attempt.attempt, job=attempt.job, note=ending.sentence
        )
        self._stop_if_all_refuse(task, ending)
        if ending.node:
            self._avoided[task.key].add(ending.node)
        tries = attempt.attempt - attempt.settled
        if not ending.is_final and tries < self._folder.sweep.attempts:
            self._progress.note(f"{task.label}: {ending.sentence}; it is tried again")
            self._waiting.append(Attempt(task=task.key, attempt=attempt.attempt + 1, settled=attempt.settled))
            return
        from dataclasses import replace

        from isobench.executors.local import LocalExecutor

        plan = replace(task.at(attempt.attempt).plan, results=self._folder.results)
        for _ in LocalExecutor().failed(
            plan, ending.error(tries, self._options.time, finding.reference(self._folder)), self._progress
        ):
            pass
        yield from self._arrivals.new()

    def _stop_if_all_refuse(self, task: Task, ending: endings.JobEnding) -> None:
        if not ending.refusal or self._has_arrived:
            return
        self._refused.add(task.key)
        if len(self._refused) < min(REFUSALS, len(self._tasks)):
            return
        cancel(self._folder)
        raise UsageError(
            f"isobench can't measure on the nodes: {ending.sentence}",
            details=ending.evidence,
            hint="The other jobs are cancelled. When that is fixed: "
            f"isobench sweep resume {finding.reference(self._folder)}",
        )


def pending(folder: SweepFolder) -> dict[str, str]:
    """The tasks that are at work or wait for it: key -> in words.

    Where Slurm doesn't answer, every task that was submitted and has no Result may be at work.
    """
    submissions = [one for one in records.read(folder) if not one.is_void]
    attempts = {attempt.task: attempt for one in submissions for attempt in one.attempts if attempt.job}
    try:
        jobs = {job.id: job for job in slurm.jobs(prefix=records.prefix(folder)) if job.is_active}
    except slurm.SlurmUnreachableError:
        arrivals = Arrivals(folder)
        for _ in arrivals.new():
            pass
        tasks = {task.key: task for task in folder.tasks() or ()}
        left = [
            one
            for one in attempts.values()
            if one.task in tasks and not arrivals.are_complete(tasks[one.task], after=one.settled)
        ]
        return {one.task: f"perhaps running (job {one.job}): Slurm doesn't answer" for one in left}
    return {one.task: _words(jobs[one.job]) for one in attempts.values() if one.job in jobs}


def cancel(folder: SweepFolder) -> int:
    """End this sweep's jobs, and no others; their number.

    Raises:
        SlurmUnreachableError: squeue or scancel failed.
    """
    records.mark_cancelled(folder)
    ids = slurm.active_ids(slurm.jobs(prefix=records.prefix(folder)))
    for submission in records.read(folder):
        ours = [attempt for attempt in submission.attempts if attempt.job in ids]
        if ours:
            records.void(folder, submission)  # first: whoever watches must not take the jobs for lost
            for attempt in ours:
                folder.journal.write(What.CANCELLED, task=attempt.task, attempt=attempt.attempt, job=attempt.job)
    slurm.cancel(ids)
    return len(ids)


def words(jobs: Iterable[slurm.Job]) -> str:
    """How many jobs run and wait, and why they wait: "2 running on n1, n2; 10 waiting (Resources)"."""
    active = [job for job in jobs if job.is_active]
    running = [job for job in active if job.state != "PENDING"]
    reasons = list(dict.fromkeys(job.reason for job in active if job.state == "PENDING" and job.reason))
    found = []
    if running:
        where = sorted({job.node for job in running if job.node})
        found.append(
            f"{len(running)} running" + (f" on {', '.join(where[:4])}{', ...' * (len(where) > 4)}" * bool(where))
        )
    if len(active) > len(running):
        found.append(f"{len(active) - len(running)} waiting" + f" ({', '.join(reasons[:2])})" * bool(reasons))
    return "; ".join(found) or "no jobs in the queue"


def _words(job: slurm.Job) -> str:
    if job.state == "PENDING":
        return f"waiting ({job.reason or 'no reason given'}; job {job.id})"
    return f"{job.state.lower()}{f' on {job.node}' if job.node else ''} (job {job.id})"
