"""What other processes can read about this one."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from isobench import redaction


def hide_secrets() -> None:
    """Empty /proc/PID/environ, and mask secrets in /proc/PID/cmdline; takes some 0.1 ms.

    A worker runs foreign code as the same user. It could read there what it wasn't given; the command line, every user
    could. `os.environ` and the variables of child processes stay as they are.
    """
    with suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        arguments, *ends = (int(fields[number - 3]) for number in (48, 50, 51))  # as proc(5) counts them
        # The C library's own pointers lead into the block: each variable gets memory of its own first.
        for name, value in os.environb.items():
            os.putenv(name, value)
        memory = os.open("/proc/self/mem", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(memory, bytes(ends[1] - ends[0]), ends[0])
            if redaction.holds_secrets(sys.argv):
                os.pwrite(memory, _masked(Path("/proc/self/cmdline").read_bytes()), arguments)
        finally:
            os.close(memory)


def _masked(command: bytes) -> bytes:
    """A command line of the same length, with asterisks in place of each word that holds a secret."""
    given = command.split(b"\0")
    shown = redaction.words([os.fsdecode(word) for word in given])
    pairs = zip(given, shown, strict=True)
    return b"\0".join(word if os.fsencode(one) == word else b"*" * len(word) for word, one in pairs)
