"""Reports the network, the limits and the parent that it sees; first does what `first` says."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

import network
import resource_limits
from harness import serve


def _interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def _elsewhere() -> int:
    """Why no other machine can be reached, 0 if one can; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        return one.connect_ex(("192.0.2.1", 9))


def _execute(output_dir: str, first: str = "", **_: Any) -> dict[str, Any]:
    if first == "eat":
        eaten = []
        while True:
            eaten.append(b"x" * (1 << 20))
    if first == "kill itself":
        os.kill(os.getpid(), signal.SIGKILL)
    if first == "print":
        print("the first line")
        for _ in range(90):
            sys.stdout.write("x" * (1 << 20))
        print("\nthe last line")
        raise ValueError("drowned")
    log = os.path.join(output_dir, "worker.log")
    if first in ("fifo", "link"):
        os.unlink(log)
        os.mkfifo(log) if first == "fifo" else os.symlink("/dev/zero", log)
        os._exit(3)
    parents = ""
    with suppress(PermissionError), open(f"/proc/{os.getppid()}/environ", encoding="utf-8", errors="replace") as file:
        parents = file.read()
    with open("/proc/self/uid_map", encoding="ascii") as file:
        users = file.read().split()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 5):
        pass
    return {
        "network": network.state(),
        "interfaces": _interfaces(),
        "elsewhere": _elsewhere(),
        "limits": resource_limits.state(),
        "parent": parents,
        "users": users,
        "user": os.getuid(),
    }


if __name__ == "__main__":
    serve(_execute)
