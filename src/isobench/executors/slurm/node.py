"""What `isobench run-case` does on a node: one task of a sweep, or its preparation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from isobench import paths
from isobench.errors import UsageError, unexpected
from isobench.executors.slurm.endings import REFUSED
from isobench.executors.slurm.options import Options
from isobench.sweeps import finding
from isobench.sweeps.folder import SWEEP_FILE, SweepFolder
from isobench.sweeps.journal import What

if TYPE_CHECKING:
    from isobench.console import Progress
    from isobench.results import SavedResult
    from isobench.sweeps.task import Task


def measure(
    path: Path, key: str, *, attempt: int, settled: int, plan: str, progress: Progress
) -> Iterator[SavedResult]:
    """Measure a task of the sweep in `path`, unless a Result of an attempt after `settled` is there.

    Raises:
        IsobenchError: this node can't measure it. The sweep's journal says so, too, if it can be written.
    """
    folder = opened(path)
    with _reported(folder, key, attempt):
        _check(folder, plan)
        task = _task(folder, key)
        _enter(folder)
        from isobench.executors.local_sweep import run_task
        from isobench.results import index
        from isobench.system import batch

        # Other nodes measure other tasks at the same time: none of them writes to a database.
        rows = list(index.rows(folder.results, task=task.key, read_only=True))
        if {row.label for row in rows if row.attempt > settled}.issuperset(task.runtimes):
            progress.note(f"{task.label}: measured already")
            return

        exclusive = Options.of(folder.options).exclusive
        with batch.looking_around(exclusive=exclusive):
            yield from run_task(folder, task, attempt=attempt, rows=rows, progress=progress)


def prepare(path: Path, *, plan: str, progress: Progress) -> None:
    """Make the environments and builds of the sweep in `path` on this node, for `preparing.prepare`, which waits.

    Raises:
        IsobenchError: it can't be done here.
    """
    folder = opened(path)
    with _reported(folder, "", 1):
        _check(folder, plan)
        _enter(folder)
        from isobench.executors.slurm import preparing

        preparing.on_node(folder, progress)


def opened(path: Path) -> SweepFolder:
    """The sweep's folder.

    Raises:
        UsageError: this node doesn't see it.
    """
    if not (path / SWEEP_FILE).is_file():
        raise UsageError(
            f"{node()} doesn't see the sweep's folder {path}",
            hint="It must lie on a file system that all nodes share, at the same path: isobench sweep --output FOLDER",
        )
    return SweepFolder.find(path)


def _check(folder: SweepFolder, plan: str) -> None:
    """Raises:
    UsageError: it isn't the one that was submitted.
    """
    if plan and folder.plan_sha256 != plan:
        raise UsageError(
            f"{folder.path} on {node()} holds another sweep than the one that was submitted",
            hint="Is it the same file system on all nodes? Compare: sha256sum sweep.json",
        )


def node() -> str:
    """This node's name, as Slurm has it."""
    return os.environ.get("SLURMD_NODENAME") or os.uname().nodename


def _task(folder: SweepFolder, key: str) -> Task:
    found = next((task for task in folder.tasks() or () if task.key == key), None)
    if found is None:
        raise UsageError(
            f"the sweep in {folder.path} has no task {key}",
            hint=f"List them: isobench sweep status {finding.reference(folder)}",
        )
    return found


def _enter(folder: SweepFolder) -> None:
    """Enter the folder that scripts start in, and check what a node needs."""
    where = folder.sweep.working_folder
    try:
        os.chdir(where)
    except OSError as error:
        raise UsageError(
            f"{node()} can't enter {where}, the folder of the suite: {error.strerror}",
            hint="It must lie on a file system that all nodes share, at the same path.",
        ) from None
    if not os.access(folder.results, os.W_OK | os.X_OK):
        raise UsageError(f"{node()} can't write to {folder.results}", hint="Check its owner, and how it is mounted.")
    home = paths.home()
    reason = _no_locks(home)
    if reason:
        raise UsageError(
            f"{node()} can't lock files in ISOBENCH_HOME, {home}: {reason}",
            hint="Environments and builds are made under locks. Choose another folder, such as one on the node's own "
            "disk: --slurm setup='export ISOBENCH_HOME=/scratch/$USER/isobench'",
        )


def _no_locks(home: Path) -> str:
    """Why nothing can be locked in the folder, "" if it can."""
    from isobench.system import lock_checks

    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    return lock_checks.works(home)


@contextmanager
def _reported(folder: SweepFolder, key: str, attempt: int) -> Iterator[None]:
    """Write an error to the journal: the log of a job may lie on the node only."""
    try:
        yield
    except BaseException as caught:  # noqa: BLE001 - whatever it is, whoever follows the sweep must see it
        error = unexpected(caught, f"measuring the task {key}")
        note = "\n".join(filter(None, [error.message, error.details, error.hint]))
        folder.journal.write(What.LOST, task=key, attempt=attempt, job=_job(), note=REFUSED + note)
        raise error from None


def _job() -> str:
    """The job's id, as `squeue` writes it."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")
