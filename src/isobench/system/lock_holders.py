"""Who holds a lock: what its holder wrote into the file.

    PID, HOST <tab> USER <tab> SINCE <tab> COMMAND       two lines: held through flock
    PID, HOST, [START]                                   two or three: a soft lock, as filelock writes it

filelock takes the whole second line for the host. It never removes a lock of another host, so a process for which flock
doesn't work respects one for which it does. `lock_files.is_marker` serves the other direction.
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

    @property
    def is_here(self) -> bool:
        """Is it a process of this host?"""
        return self.host in {"", os.uname().nodename}

    @property
    def in_words(self) -> str:
        """As in "pid 812 on node7 (ana, isobench) since 14:03"; the host and the day only if they are others."""
        if not self.pid:
            return "another process"
        about = ", ".join(word for word in (self.user, self.command) if word)
        host = "" if self.is_here else f" on {self.host}"
        since = self.since.removeprefix(time.strftime("%Y-%m-%d "))
        return f"pid {self.pid}{host}" + (f" ({about})" if about else "") + (f" since {since}" if since else "")


def introduction(descriptor: int) -> Holder | None:
    """What the holder wrote, or None; if it has only just taken the lock, it gets a moment to write."""
    for _ in range(10):
        if found := read(descriptor):
            return found
        time.sleep(0.002)
    return None


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
