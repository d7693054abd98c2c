"""The keeper of a worker: its parent, which sleeps until it ends or the host is gone, and ends all that it started.

launch.py forks the worker from it. Every process that loses its parent becomes the keeper's child (it is a "subreaper",
or the first process of a container), whatever it did to its session, group and descriptors. Standard library only.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress

KILLING_S = 5.0
"""How long the keeper waits for processes that it has killed: one that waits for a device may not end."""


def keep(worker: int, control: int, events: int, group: str, grouping: int) -> int:
    """Sleep until the worker ends, end what is left of its tree, report `{"ended": {"status": ...}}`; the exit code.

    The status is the worker's exit code, or the negative number of the signal that killed it; `pid` is reported, too,
    and `oom_kills`: the processes of this container that the kernel has killed because memory ran out. If the control
    pipe closes, the host is gone, or no longer needs the worker, which is killed. `group` is the folder of the worker's
    control group, or another word where it has none. `grouping` is closed once the worker is in it.
    """
    # This takes some 10 ms, in which the kernel waits; the worker starts meanwhile.
    grouped = os.path.isabs(group) and _write(f"{group}/cgroup.procs", str(worker))
    os.close(grouping)
    ending = os.pidfd_open(worker)
    poll = select.poll()
    # No events are requested: a hang-up is always reported, and what the host writes is left for the worker to read.
    poll.register(control, 0)
    poll.register(ending, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll()}
    status = 128 + signal.SIGKILL
    if ending in ready:
        status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    if grouped:
        _write(f"{group}/cgroup.kill", "1")
    kill_children()
    if control in ready:
        if grouped:
            with suppress(OSError):
                os.rmdir(group)  # the host can't
    elif select.select([], [events], [], 1)[1]:  # a pipe that the worker has filled may be full
        with suppress(OSError):
            ended = b'{"ended": {"status": %d, "pid": %d, "oom_kills": %d}}' % (status, worker, _oom_kills())
            os.write(events, b"\n" + ended + b"\n")  # the worker may have left half a line
    return status if status >= 0 else 128 - status


def kill_children() -> None:
    """Kill this process's children, and theirs, which become its own, until there are none."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    deadline = time.monotonic() + KILLING_S
    while time.monotonic() < deadline:
        for child in _children():
            with suppress(OSError):
                os.kill(child, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        signal.sigtimedwait([signal.SIGCHLD], 0.02)


def _children() -> list[int]:
    try:
        with open("/proc/thread-self/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        own = str(os.getpid())
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _parent(pid) == own]


def _parent(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[1]
    except OSError:  # it has ended in the meantime
        return ""


def _oom_kills() -> int:
    """What the control group of the container counts, whose first process this is; 0 outside of containers."""
    for name in ("memory.events", "memory/memory.oom_control") if os.getpid() == 1 else ():
        with suppress(OSError), open(f"/sys/fs/cgroup/{name}", encoding="ascii") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
    return 0


def _write(file: str, text: str) -> bool:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
    except OSError:  # it has ended, or this group can't be used: its children are still found one by one
        return False
    return True
