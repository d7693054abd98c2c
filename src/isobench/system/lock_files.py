"""What lies in the file of a lock; `lock_holders` describes it, and reads it for people."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

TIME = "%Y-%m-%d %H:%M"
"""The form of the time at which a holder took the lock."""


def introduce(descriptor: int) -> None:
    """Write who we are into the file of a lock that we hold."""
    fields = (os.uname().nodename, user_name(os.getuid()), time.strftime(TIME), _command())
    host, *about = ("".join(filter(str.isprintable, field)) for field in fields)
    text = "\t".join((f"{os.getpid()}\n{host}", *about)) + "\n"
    with suppress(OSError):  # of a full disk: the lock holds all the same
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(errors="replace"), 0)


def _command() -> str:
    return os.path.basename(sys.argv[0]) or "python"  # noqa: PTH119


def user_name(number: int) -> str:
    """The name of a user, or the number: in a container, a user may have no name."""
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def is_marker(descriptor: int) -> bool:
    """Is the file filelock's marker of a soft lock?"""
    lines = os.pread(descriptor, 1000, 0).split(b"\n")
    return len(lines) in {3, 4} and lines[0].isdigit() and b"\t" not in lines[1]
