"""What was submitted to Slurm, a file for each array: FOLDER/slurm/NONCE.json.

It is written before the array is submitted, and again with the ids of its jobs. If the process that submits is killed
in between, the name of the jobs, which holds the nonce, finds them in the queue.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isobench import codec
from isobench.errors import UsageError
from isobench.record import record
from isobench.sweeps.folder import SWEEP_FILE, SweepFolder
from isobench.system import files
from isobench.workers import protocol

SCHEMA = "isobench.slurm/1"
FOLDER = "slurm"
_CANCELLED = "cancelled"


@record(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at a task: a job, or a task of an array. `job` is "" until Slurm has taken it.

    Results of attempts after `settled` count as done: an attempt measures only what earlier ones, which were lost,
    have left.
    """

    task: str
    attempt: int
    settled: int = 0
    job: str = ""


@record(frozen=True, slots=True, kw_only=True)
class Submission:
    """An array. `exclude` are nodes that it avoids; `is_void`: it was ended before all its ids were known, or by
    `isobench sweep cancel`, and its attempts don't count.
    """

    nonce: str
    name: str
    at: str
    attempts: tuple[Attempt, ...]
    exclude: tuple[str, ...] = ()
    is_void: bool = False

    @property
    def is_known(self) -> bool:
        """Are the ids of its jobs known?"""
        return all(attempt.job for attempt in self.attempts)


def prefix(folder: SweepFolder) -> str:
    """How the names of this sweep's jobs begin, and of no other's."""
    place = os.fsencode(folder.path.resolve())
    return f"isobench-{files.sha256_of(place + (folder.path / SWEEP_FILE).read_bytes())[:12]}-"


def new(folder: SweepFolder, attempts: tuple[Attempt, ...], exclude: tuple[str, ...]) -> Submission:
    """A submission that hasn't been written yet."""
    nonce = os.urandom(4).hex()
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Submission(nonce=nonce, name=prefix(folder) + nonce, at=now, attempts=attempts, exclude=exclude)


def write(folder: SweepFolder, submission: Submission) -> None:
    """Raises:
    OSError: it can't be written.
    """
    (folder.path / FOLDER).mkdir(exist_ok=True)
    value: dict[str, Any] = {"schema": SCHEMA, **codec.encode(submission)}
    files.write_atomically(_file(folder, submission), json.dumps(value, indent=1), durable=True)


def read(folder: SweepFolder) -> list[Submission]:
    """Every submission, the oldest first.

    Raises:
        UsageError: a file is corrupted.
    """
    return sorted(map(_read, (folder.path / FOLDER).glob("*.json")), key=lambda one: one.at)


def void(folder: SweepFolder, submission: Submission) -> None:
    """Record that its attempts don't count."""
    write(folder, replace(submission, is_void=True))


def is_void(folder: SweepFolder, submission: Submission) -> bool:
    """Has another process recorded that its attempts don't count?"""
    return _read(_file(folder, submission)).is_void


def jobs_folder(folder: SweepFolder, submission: Submission) -> Path:
    """Where submitit puts the script, and Slurm the logs."""
    return folder.path / FOLDER / submission.nonce


def log(folder: SweepFolder, submission: Submission, job: str) -> str:
    """The end of what a job wrote to standard error, Slurm's own messages included."""
    from isobench.system import process

    return process.tail(jobs_folder(folder, submission) / f"{job}_0_log.err", lines=200)


def cancelled(folder: SweepFolder) -> str:
    """What changes when the sweep is cancelled."""
    try:
        return (folder.path / FOLDER / _CANCELLED).read_text()
    except OSError:
        return ""


def mark_cancelled(folder: SweepFolder) -> None:
    """Have every process that watches this sweep submit nothing more."""
    (folder.path / FOLDER).mkdir(exist_ok=True)
    files.write_atomically(folder.path / FOLDER / _CANCELLED, os.urandom(8).hex())


def _file(folder: SweepFolder, submission: Submission) -> Path:
    return folder.path / FOLDER / f"{submission.nonce}.json"


def _read(file: Path) -> Submission:
    try:
        value = protocol.read_json(file, SCHEMA)
        value.pop("schema")
        found: Submission = codec.decode(Submission, value, file.name)
    except (OSError, ValueError, protocol.ProtocolError) as error:
        raise UsageError(
            f"{file} is corrupted: {error}",
            hint="It names jobs of this sweep: cancel those with scancel, then delete it.",
        ) from None
    return found
