"""Who holds a lock: the process that the kernel names, and what its holder wrote into the file.

    PID, HOST <tab> USER <tab> SINCE <tab> COMMAND       two lines: held through flock
    PID, HOST, [START]                                   two or three: a soft lock, as filelock writes it

filelock takes the whole second line for the host. It never removes a lock of another host, so a process for which flock
doesn't work respects one for which it does. `lock_files.is_marker` serves the other direction.

Whoever can write to the file can write anything into it. So the process that holds a lock through flock is asked of
the kernel (/proc/locks), and only that process's own claims about its command and its time are believed.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress

from isobench.record import record
from isobench.system.lock_files import TIME, is_marker, user_name

_MOST_BYTES = 1000


@record(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that holds a lock, as it introduced itself; "" and 0 for what isn't known."""

    pid: int = 0
    host: str = ""
    user: str = ""
    since: str = ""
    """In the holder's local time: "2026-11-28 14:03"."""
    command: str = ""
    state: str = ""
    """What else there is to know: "it is stopped"."""

    @property
    def is_here(self) -> bool:
        """Is it a process of this host?"""
        return self.host in {"", os.uname().nodename}

    @property
    def in_words(self) -> str:
        """As in "pid 812 on node7 (ana, isobench) since 14:03"; the host and the day only if they are others."""
        state = f"; {self.state}" if self.state else ""
        if not self.pid:
            return f"another process{state}"
        about = ", ".join(word for word in (self.user, self.command) if word)
        host = "" if self.is_here else f" on {self.host}"
        since = self.since.removeprefix(time.strftime("%Y-%m-%d "))
        return f"pid {self.pid}{host}" + (f" ({about})" if about else "") + (f" since {since}" if since else "") + state


def introduction(descriptor: int, *, between_users: bool = False) -> Holder | None:
    """The holder, or None if nobody is known; if it has only just taken the lock, it gets a moment to write.

    Where the kernel names no process, because it belongs to another host or container, what the file says is returned,
    but `between_users` only the file's owner.
    """
    claimed = None
    for _ in range(10):
        if claimed := read(descriptor):
            break
        time.sleep(0.002)
    pid = _of_kernel(descriptor)
    if pid:
        return _seen(pid, claimed if claimed and (claimed.pid, claimed.is_here) == (pid, True) else Holder())
    if between_users:
        return Holder(state=f"the lock's file belongs to {user_name(os.fstat(descriptor).st_uid)}")
    return claimed


def _of_kernel(descriptor: int) -> int:
    """The process that holds flock's lock; 0 where that isn't known."""
    about = os.fstat(descriptor)
    file = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    with suppress(OSError, ValueError), open("/proc/locks", encoding="ascii") as locks:  # noqa: PTH123
        for line in locks:
            words = line.split()  # "1: FLOCK ADVISORY WRITE 812 00:1a:3 0 EOF"; a waiting one has an arrow
            if words[1] == "FLOCK" and words[5] == file:
                return int(words[4])
    return 0


def _seen(pid: int, claimed: Holder) -> Holder:
    """A process as /proc has it, with its own claims."""
    try:
        user = user_name(os.stat(f"/proc/{pid}").st_uid)  # noqa: PTH116
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            name, _, rest = file.read(_MOST_BYTES).partition("(")[2].rpartition(")")
    except OSError:
        gone = "" if os.path.exists(f"/proc/{pid}") else "it has ended, but not what it started"  # noqa: PTH110
        return Holder(pid=pid, since=claimed.since, command=claimed.command, state=gone)
    command = claimed.command or "".join(filter(str.isprintable, name))
    state = "it is stopped" if rest.split()[0] in "tT" else ""
    return Holder(pid=pid, host=claimed.host, user=user, since=claimed.since, command=command, state=state)


def read(descriptor: int) -> Holder | None:
    """What the holder wrote, without control characters, since it may be anybody; None if nobody wrote."""
    with suppress(OSError):
        text = os.pread(descriptor, _MOST_BYTES, 0).decode(errors="replace")
        pid, *fields = ("".join(filter(str.isprintable, field)) for field in re.split(r"[\t\n]", text.strip("\n")))
        if not re.fullmatch(r"[0-9]{1,10}", pid):
            return None
        if len(fields) == 4:
            host, user, since, command = fields
            return Holder(pid=int(pid), host=host, user=user, since=since, command=command)
        if len(fields) == 3:  # an isobench before locks had hosts
            user, since, command = fields
            return Holder(pid=int(pid), user=user, since=since, command=command)
        if is_marker(descriptor):
            about = os.fstat(descriptor)
            since = time.strftime(TIME, time.localtime(about.st_mtime))
            # filelock appends a container's namespace to its name.
            return Holder(pid=int(pid), host=fields[0].partition("?")[0], user=user_name(about.st_uid), since=since)
    return None
