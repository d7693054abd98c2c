"""Takes the network away from this process: it gets a namespace of its own, in which only loopback exists.

Before its threads start: each thread has its own namespace. Standard library only.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER and CLONE_NEWNET of linux/sched.h
_SET_FLAGS, _UP = 0x8914, 1  # SIOCSIFFLAGS and IFF_UP of linux/sockios.h and linux/if.h

_state: dict[str, Any] = {"network": "open", "network_reason": "the runtime may need it"}


def prepare(wanted: str) -> None:
    """Do as the host says: "loopback", "none" where there is none in the first place, else leave it open."""
    global _state
    if wanted == "loopback":
        try:
            _try()
            _take()
        except (ImportError, OSError) as error:
            _state = {"network": "open", "network_reason": f"the kernel refuses a network namespace: {error}"}
            return
    if wanted in ("loopback", "none"):
        _state = {"network": "loopback"}


def state() -> dict[str, Any]:
    """`network` is "loopback" or "open", and `network_reason` says why it is open."""
    return _state


def _try() -> None:
    """Take the network from a child: a kernel that makes the namespace may still refuse to set it up.

    Raises:
        ImportError: there is no ctypes.
        OSError: the kernel refuses.
    """
    import ctypes  # noqa: F401 - the child has no other way to say that it is missing

    child = os.fork()
    if not child:
        number = errno.EPERM
        try:
            _take()
            number = 0
        except OSError as error:
            number = error.errno or number
        finally:
            os._exit(number)
    number = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if number:
        raise OSError(number, os.strerror(number)) if number > 0 else ChildProcessError(f"signal {-number}")


def _take() -> None:
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if library.unshare(_NEW_NETWORK):
        _check(ctypes, library.unshare(_NEW_USER | _NEW_NETWORK))
        # The only user of the new namespace is this one.
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    socket = library.socket(2, 2, 0)  # AF_INET, SOCK_DGRAM; importing socket would take longer than all of this
    _check(ctypes, min(socket, 0))
    try:
        request = b"lo".ljust(16, b"\0") + _UP.to_bytes(2, sys.byteorder) + bytes(22)
        _check(ctypes, library.ioctl(socket, ctypes.c_ulong(_SET_FLAGS), request))
    finally:
        os.close(socket)


def _check(ctypes: Any, returned: int) -> None:
    if returned:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
