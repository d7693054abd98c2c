"""What a worker may use of the machine: CPUs, priority, memory nodes. Applied before its runtime is imported.

Standard library only. `state` says what is really in effect, for the host to compare with what was asked for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import machine

_BIND = 2  # MPOL_BIND of linux/mempolicy.h
_SYSTEM_CALLS = {"x86_64": (238, 239), "aarch64": (237, 236)}
"""Numbers of set_mempolicy and get_mempolicy, for which the C library has no functions."""
_MOST_NODES = 1024

_memory_bound = False


def apply(asked: Mapping[str, Any]) -> None:
    """Put `cpus`, `nice` and `memory_nodes` into effect, as far as they are asked for, for all threads to come.

    Raises:
        OSError: the kernel doesn't allow it.
    """
    global _memory_bound
    if asked.get("cpus"):
        os.sched_setaffinity(0, asked["cpus"])
    if asked.get("nice"):
        os.setpriority(os.PRIO_PROCESS, 0, asked["nice"])
    if asked.get("memory_nodes"):
        _set_memory_nodes(asked["memory_nodes"])
        _memory_bound = True


def state() -> dict[str, Any]:
    """What is in effect now: `affinity` is what all threads together may use, `nice` the priority of this one.

    `memory_nodes` are those that memory is bound to; none: it isn't bound.
    """
    return {
        "affinity": sorted(set().union(*_affinities())),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "memory_nodes": _memory_nodes() if _memory_bound else [],
    }


def _affinities() -> list[set[int]]:
    """Of each thread: a runtime may have bound its own."""
    found = [os.sched_getaffinity(0)]
    for thread in os.listdir("/proc/self/task"):
        try:
            found.append(os.sched_getaffinity(int(thread)))
        except ProcessLookupError:  # it has ended meanwhile
            continue
    return found


def _set_memory_nodes(nodes: list[int]) -> None:
    import ctypes

    words = (ctypes.c_ulong * (_MOST_NODES // 64))()
    for node in nodes:
        words[node // 64] |= 1 << node % 64
    _system_call(0, ctypes.c_int(_BIND), words, ctypes.c_ulong(_MOST_NODES))


def _memory_nodes() -> list[int]:
    import ctypes

    words = (ctypes.c_ulong * (_MOST_NODES // 64))()
    mode = ctypes.c_int()
    _system_call(1, ctypes.byref(mode), words, ctypes.c_ulong(_MOST_NODES), None, ctypes.c_ulong(0))
    if mode.value != _BIND:
        return []
    return [node for node in range(_MOST_NODES) if words[node // 64] >> node % 64 & 1]


def _system_call(which: int, *arguments: Any) -> None:
    import ctypes

    kind = os.uname().machine
    if kind not in _SYSTEM_CALLS:
        raise OSError(f"memory can't be bound to nodes on {kind}")
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(ctypes.c_long(_SYSTEM_CALLS[kind][which]), *arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def describe(asked: Mapping[str, Any]) -> str:
    """What was asked for, for people."""
    words = {"cpus": "the CPUs", "nice": "the priority", "memory_nodes": "the memory nodes"}
    return ", ".join(
        f"{words[name]} {machine.cpu_list(value) if isinstance(value, list) else value}"
        for name, value in asked.items()
        if value
    )
