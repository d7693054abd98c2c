"""The process on this machine that works on a sweep: what it measures now, and how to stop it."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING

from isobench.errors import UsageError
from isobench.sweeps.journal import What
from isobench.system import locks

if TYPE_CHECKING:
    from isobench.sweeps.folder import SweepFolder
    from isobench.system.lock_holders import Holder

STOP_TIMEOUT_S = 60.0
"""A process that is stopped ends its worker and removes its partial data, which takes a second."""


def running(folder: SweepFolder) -> Mapping[str, str]:
    """The task that a process measures now: key -> in words; {} where nobody works on the sweep."""
    holder = locks.holder(folder.lock_file)
    if holder is None:
        return {}
    task = ""
    for event in folder.journal.events():
        if event.what is What.RUNNING:
            task = event.task
        elif event.what is What.STARTED or (event.what is What.ENDED and event.task == task):
            task = ""
    where = f"pid {holder.pid}" + ("" if holder.is_here else f" on {holder.host}")
    return {task: where} if task else {}


def stop(folder: SweepFolder) -> int:
    """End the process that works on the sweep, and wait until it is gone; the number of tasks that it was measuring.

    Raises:
        UsageError: there is none, it runs on another machine, belongs to another user, or doesn't end.
    """
    holder = locks.holder(folder.lock_file)
    if holder is None:
        raise UsageError(
            f"no process works on {folder.path.name}", hint=f"What became of it: isobench sweep status {folder.path}"
        )
    if not holder.pid or not holder.is_here:
        raise UsageError(f"{folder.path.name} is in use by {holder.in_words}", hint="Cancel it on that machine.")
    at_work = len(running(folder))
    try:
        process = os.pidfd_open(holder.pid)
    except ProcessLookupError:  # it has ended meanwhile
        return 0
    try:
        # Its number may stand for another process by now. Who still holds the lock is alive, so it is the one.
        now = locks.holder(folder.lock_file)
        if now is not None and now.pid == holder.pid:
            _end(process, holder)
    finally:
        os.close(process)
    return at_work


def _end(process: int, holder: Holder) -> None:
    """Signal a process, which its file descriptor stands for, and wait until it is gone."""
    try:
        # As batch systems end jobs. A process that was started in the background of a script ignores SIGINT.
        signal.pidfd_send_signal(process, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise UsageError(f"{holder.in_words} belongs to another user", hint="Ask them to cancel it.") from None
    ended, _, _ = select.select([process], [], [], STOP_TIMEOUT_S)
    if not ended:
        raise UsageError(
            f"{holder.in_words} got a signal, but hasn't ended after {STOP_TIMEOUT_S:.0f} s",
            hint=f"End it: kill -9 {holder.pid}. What is measured stays.",
        )
