"""The journal of a sweep: what happened, a line for each event, appended by every process that works on it.

    journal/HOST-PID.jsonl       one file for each process, so that no two processes on two machines write to one file

The journal says what was tried and what is at work. Whether a task is done, only its Results say.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from isobench import codec
from isobench.constraints import PositiveCount, Time
from isobench.record import record
from isobench.workers import protocol


class What(StrEnum):
    """The kind of an event."""

    STARTED = "started"
    """A process begins to work on the sweep."""
    PREPARED = "prepared"
    """All environments and builds are made; `tasks.json` is written."""
    SUBMITTED = "submitted"
    """A batch system has the task; `job` is its id there."""
    RUNNING = "running"
    """A process measures the task."""
    ENDED = "ended"
    """The task has ended; `results` are the ids of its Results."""
    LOST = "lost"
    """The node or the process that measured the task is gone; `note` says why."""
    CANCELLED = "cancelled"
    FINISHED = "finished"
    """Nothing is left to do."""


@record(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the journal. `task` is "" for what concerns the whole sweep; `at` is in UTC."""

    at: Time
    what: What
    host: str
    pid: int
    task: str = ""
    attempt: PositiveCount = 1
    job: str = ""
    results: tuple[str, ...] = ()
    note: str = ""


class Journal:
    """The journal in `folder`; this process appends to its own file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._host = os.uname().nodename

    def write(self, what: What, **members: Any) -> Event:
        """Append an event of now; the line is complete or missing.

        That it can't be written ends nothing: whether a task is done, only its Results say.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = Event(at=now, what=what, host=self._host, pid=os.getpid(), **members)
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            line = json.dumps(codec.encode(event)).encode() + b"\n"
            _append(self._folder / f"{self._host}-{os.getpid()}.jsonl", line)
        return event

    def events(self) -> list[Event]:
        """Every event, the oldest first; what a killed process left half-written is left out."""
        found = [event for file in self._folder.glob("*.jsonl") for event in _read(file)]
        return sorted(found, key=lambda event: event.at)


def _append(file: Path, line: bytes) -> None:
    """Append a line to this process's own file, whole or not at all."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        before = os.fstat(descriptor).st_size
        if os.write(descriptor, line) < len(line):  # of a full disk; the next line must not be glued to half of this
            os.ftruncate(descriptor, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(descriptor)


def _read(file: Path) -> Iterator[Event]:
    try:
        lines = protocol.read_bytes(file, most_bytes=protocol.MOST_JSON_BYTES).splitlines()
    except (OSError, protocol.ProtocolError):  # a file that somebody else put there
        return
    for line in lines:
        try:
            yield codec.decode(Event, json.loads(line), "event")
        except (ValueError, RecursionError):
            continue
