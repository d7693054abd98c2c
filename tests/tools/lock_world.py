"""Processes that hold locks, and those for which flock doesn't work."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from isobench.errors import IsobenchError, LockHeldError
from isobench.system.locks import FileLock

HOST = os.uname().nodename
HOLD = """
import sys
from pathlib import Path
from isobench.system.locks import FileLock
lock = FileLock(Path(sys.argv[1]), what="it", on_wait=lambda line: print(line, flush=True))
with lock as descriptor:
    print("held", "soft" if lock.is_soft else "flock", "filelock" in sys.modules, flush=True)
    sys.stdin.read()
"""
FILELOCK = """
import sys, filelock
with getattr(filelock, sys.argv[2])(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
# Each turn reads a number and writes the next one: a second process in between makes one of them disappear.
TURNS = """
import sys
from pathlib import Path
from isobench.system.locks import FileLock
file, count, turns = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
sys.stdin.read()
for _ in range(turns):
    with FileLock(file, what="it"):
        now = int(count.read_text())
        count.write_text("in use")
        count.write_text(str(now + 1))
"""
NO_FLOCK = """
#include <errno.h>
#include <stdlib.h>
int flock(int descriptor, int operation) { errno = atoi(getenv("NO_FLOCK_ERRNO")); return -1; }
"""

Start = Callable[..., "subprocess.Popen[str]"]


def line(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline().strip()


def is_free(file: Path) -> bool:
    try:
        with FileLock(file, what="it", timeout_s=0):
            return True
    except LockHeldError:
        return False


def as_nobody(do: Callable[[], object]) -> str:
    """What an IsobenchError of the call says, in a process of user 65534 if this one is root's; "" without one."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        message = "crash"
        try:
            if os.getuid() == 0:
                os.setresuid(65534, 65534, 65534)
            do()
            message = ""
        except IsobenchError as error:
            message = error.message
        finally:
            os.write(write, message.encode())
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read, encoding="utf-8") as pipe:
        return pipe.read()
