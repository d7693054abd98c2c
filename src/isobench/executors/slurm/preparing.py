"""Makes the environments and builds of a sweep before its array starts: on this machine, or in a job on a node.

A node makes them where this machine is of another architecture, and where the option `prepare` says so. The tasks then
go to the node and come back in files in the sweep's folder.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isobench import codec
from isobench.errors import IsobenchError, UsageError
from isobench.executors.slurm import endings, records, submitting
from isobench.executors.slurm.nodes import Nodes
from isobench.executors.slurm.options import Options
from isobench.failures import FailureKind
from isobench.sweeps import finding
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.task import Task
from isobench.system import devices, files, slurm
from isobench.workers import protocol

if TYPE_CHECKING:
    from isobench.console import Progress

SCHEMA = "isobench.slurm-tasks/1"
_REQUESTED = "requested-tasks"
_PREPARED = "prepared-tasks"


def prepare(folder: SweepFolder, options: Options, progress: Progress) -> tuple[Task, ...]:
    """The tasks to measure, with everything that they need.

    Raises:
        UsageError: Slurm refuses the job, or it ended without success.
    """
    there = Nodes(options).architecture()
    here = devices.architecture()
    if options.prepare == "here" or (options.prepare == "" and there in ("", here)):
        from isobench.executors import preparing

        return preparing.prepare(folder, progress)
    (folder.path / records.FOLDER).mkdir(exist_ok=True)
    _file(folder, _PREPARED).unlink(missing_ok=True)
    write(folder, _REQUESTED, folder.sweep.tasks)
    submission = submitting.submit_preparation(folder, options, Nodes(options).excluded(()))
    progress.begin(f"preparing in job {submission.attempts[0].job}" + (f" on {there}" if there != here else ""))
    try:
        _wait(folder, submission, options, progress)
    except BaseException:
        slurm.cancel([submission.attempts[0].job])
        raise
    finally:
        records.void(folder, submission)
    return read(folder, _PREPARED)


def on_node(folder: SweepFolder, progress: Progress) -> None:
    """The node's part."""
    from dataclasses import replace

    from isobench.executors import preparing

    requested = SweepFolder(folder.path, replace(folder.sweep, tasks=read(folder, _REQUESTED)))
    write(folder, _PREPARED, preparing.prepare(requested, progress))


def write(folder: SweepFolder, name: str, tasks: Sequence[Task]) -> None:
    """Raises:
    OSError: the file can't be written.
    """
    value: dict[str, Any] = {"schema": SCHEMA, "tasks": [codec.encode(task) for task in tasks]}
    files.write_atomically(_file(folder, name), json.dumps(value), durable=True)


def read(folder: SweepFolder, name: str) -> tuple[Task, ...]:
    """Raises:
    UsageError: the file is missing or corrupted.
    """
    file = _file(folder, name)
    try:
        tasks: tuple[Task, ...] = codec.decode(tuple[Task, ...], protocol.read_json(file, SCHEMA)["tasks"], "tasks")
    except (OSError, KeyError, ValueError, protocol.ProtocolError) as error:
        raise UsageError(f"{file} can't be read: {error}") from None
    return tasks


def _wait(folder: SweepFolder, submission: records.Submission, options: Options, progress: Progress) -> None:
    """Until the tasks are there, or the job has ended without them."""
    [attempt] = submission.attempts
    gone_since: float | None = None
    node = ""
    while not _file(folder, _PREPARED).exists():
        job = next((job for job in slurm.jobs(prefix=submission.name) if job.id == attempt.job), None)
        if job and job.is_active:
            node, gone_since = job.node, None
            progress.stage(f"{job.state.lower()} {f'on {job.node}' if job.node else job.reason}")
        else:
            gone_since = gone_since or time.monotonic()
            if time.monotonic() - gone_since > options.poll:
                ending = endings.of(folder, submission, attempt, job, node)
                raise IsobenchError(
                    f"the sweep can't be prepared: {ending.sentence}",
                    kind=FailureKind.LOST,
                    details=ending.evidence,
                    hint=f"Nothing was measured. When that is fixed: isobench sweep resume {finding.reference(folder)}",
                )
        time.sleep(options.poll)


def _file(folder: SweepFolder, name: str) -> Path:
    return folder.path / records.FOLDER / name
