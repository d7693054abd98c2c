"""What the kernel's log says about processes that it has killed because memory ran out."""

from __future__ import annotations

import os

_LOG = "/dev/kmsg"


def killed_for_memory(pid: int, *, since_s: float, log: str = _LOG) -> bool:
    """Does the log say that the kernel killed this process since `since_s` on the monotonic clock?

    False where this user may not read it. In a container, the kernel's numbers of processes are others than ours.
    """
    wanted = f"killed process {pid} (".encode()
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        while True:
            try:
                entry = os.read(descriptor, 8192)
            except BrokenPipeError:  # entries were overwritten meanwhile
                continue
            except OSError:  # no more entries
                return False
            if not entry:
                return False
            # "6,1234,5678901,-;message": priority, number, microseconds since the machine started
            head, _, message = entry.lower().partition(b";")
            fields = head.split(b",")
            if wanted in message and len(fields) > 2 and int(fields[2]) / 1e6 >= since_s - 1:
                return True
    finally:
        os.close(descriptor)
