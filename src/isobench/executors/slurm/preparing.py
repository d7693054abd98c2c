"""Makes the environments and builds of a sweep before its array starts: on this machine, in jobs on nodes, or both.

Environments differ between architectures, so those of each architecture among the nodes are made on a machine that has
it. A job prepares a copy of the sweep, in a folder that lies in the sweep's own until its tasks are merged: what one
architecture can't make is no failure of the sweep if another one can.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from isobench.errors import IsobenchError, UsageError
from isobench.executors import preparing
from isobench.executors.slurm import endings, merging, records, submitting
from isobench.executors.slurm.nodes import Nodes
from isobench.executors.slurm.options import Options
from isobench.failures import Ending
from isobench.record import record
from isobench.sweeps import finding
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.task import Task
from isobench.system import devices, slurm

if TYPE_CHECKING:
    from isobench.console import Progress


def prepare(folder: SweepFolder, options: Options, progress: Progress) -> tuple[Task, ...]:
    """The tasks to measure, with everything that they need.

    Raises:
        UsageError: Slurm refuses a job, or no node can have a task's device.
        IsobenchError: no architecture's job ended with success.
    """
    nodes = Nodes(options)
    here = devices.architecture()
    requested = _requested(folder.sweep.tasks, nodes.architectures(), progress)
    if options.prepare == "here" or (options.prepare == "" and requested.keys() <= {here, ""}):
        return preparing.prepare(folder, progress)
    if len(requested) > 1:
        names = " and ".join(sorted(requested))
        progress.note(f"the nodes are of {len(requested)} architectures, {names}: preparing on each")
    where = folder.path / records.FOLDER
    where.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=where, prefix="preparing-", ignore_cleanup_errors=True) as place:
        copies = {
            name: SweepFolder.create(replace(folder.sweep, tasks=tasks), Path(place, name or "node"))
            for name, tasks in requested.items()
        }
        on_nodes = {name: copy for name, copy in copies.items() if options.prepare == "node" or name != here}
        with _jobs(folder, on_nodes, options, nodes) as jobs:
            made = {name: preparing.prepare(copies[name], progress) for name in copies.keys() - on_nodes.keys()}
            made |= _by_jobs(jobs, options, progress, needed=not made)
        return merging.merged(folder, copies, made, progress)


def _requested(tasks: Sequence[Task], architectures: Sequence[str], progress: Progress) -> dict[str, tuple[Task, ...]]:
    """The tasks to prepare on each architecture ("" where it is unknown): those whose device its machines may have.

    Raises:
        UsageError: a task has none.
    """
    if not architectures:
        return {"": tuple(tasks)}
    found = {name: tuple(task for task in tasks if devices.may_be_of(task.plan.device, name)) for name in architectures}
    hint = 'device = "cpu" in the suite is the processor of every node.'
    for task in tasks:
        if not any(devices.may_be_of(task.plan.device, name) for name in architectures):
            raise UsageError(f"no device {task.plan.device}: the nodes are {' and '.join(architectures)}", hint=hint)
    for name in architectures:
        if not found[name]:
            progress.note(f"nothing will be measured on {name}: the sweep is for {tasks[0].plan.device}. {hint}")
    return {name: some for name, some in found.items() if some}


@record(frozen=True, slots=True, kw_only=True)
class _Job:
    """A job that prepares `copy` for the sweep in `folder`."""

    folder: SweepFolder
    copy: SweepFolder
    architecture: str
    submission: records.Submission

    @property
    def id(self) -> str:
        return self.submission.attempts[0].job

    def tasks(self, options: Options, progress: Progress) -> tuple[Task, ...]:
        """Wait until the tasks are there, or the job has ended without them.

        Raises:
            IsobenchError: it has.
        """
        progress.begin(" ".join(filter(None, ["preparing in job", self.id, "on", self.architecture or "a node"])))
        gone_since: float | None = None
        node = ""
        while (tasks := self.copy.tasks()) is None:
            job = next((job for job in slurm.jobs(prefix=self.submission.name) if job.id == self.id), None)
            if job and job.is_active:
                node, gone_since = job.node, None
                progress.stage(f"{job.state.lower()} {f'on {job.node}' if job.node else job.reason}")
            else:
                gone_since = gone_since or time.monotonic()
                if time.monotonic() - gone_since > endings.patience_s(job, was_seen=bool(node), poll_s=options.poll):
                    raise self._lost(job, node)
            time.sleep(options.poll)
        return tasks

    def _lost(self, job: slurm.Job | None, node: str) -> IsobenchError:
        [attempt] = self.submission.attempts
        ending = endings.of(self.folder, self.submission, attempt, job, node, journal=self.copy.journal)
        return IsobenchError(
            f"the sweep can't be prepared: {ending.sentence}",
            kind=Ending.LOST,
            details=ending.evidence,
            hint=f"Nothing was measured. When that is fixed: isobench sweep resume {finding.reference(self.folder)}",
        )


@contextmanager
def _jobs(
    folder: SweepFolder, copies: Mapping[str, SweepFolder], options: Options, nodes: Nodes
) -> Iterator[list[_Job]]:
    """A job for each copy, by its architecture; they are cancelled if the block fails."""
    jobs: list[_Job] = []
    try:
        for name, copy in copies.items():
            exclude = nodes.excluded(architectures=[name] if name else [])
            submission = submitting.submit_preparation(folder, copy, options, exclude)
            jobs.append(_Job(folder=folder, copy=copy, architecture=name, submission=submission))
        yield jobs
    except BaseException:
        slurm.cancel([job.id for job in jobs])
        raise
    finally:
        for job in jobs:
            records.void(folder, job.submission)


def _by_jobs(
    jobs: Sequence[_Job], options: Options, progress: Progress, *, needed: bool
) -> dict[str, tuple[Task, ...]]:
    """The tasks of each job by its architecture; those of a job that is lost are left out.

    Raises:
        IsobenchError: all are lost, and `needed`.
    """
    made = {}
    for number, job in enumerate(jobs, 1):
        try:
            made[job.architecture] = job.tasks(options, progress)
        except IsobenchError as error:
            is_last_hope = needed and not made and number == len(jobs)
            if error.kind is not Ending.LOST or is_last_hope:
                raise
            progress.note(f"nothing will be measured on {job.architecture}: {error.message}\n{error.details}")
    return made


def on_node(copy: SweepFolder, progress: Progress) -> None:
    """What the job does on its node."""
    copy.freeze(preparing.prepare(copy, progress))
