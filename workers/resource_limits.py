"""The resources that a worker may use: CPUs, priority, memory and its nodes. Applied before its runtime is imported.

Standard library only. `state` returns what is in effect, which the host compares with the request.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import machine

_BIND = 2  # MPOL_BIND of linux/mempolicy.h
_SYSTEM_CALLS = {"x86_64": (238, 239), "aarch64": (237, 236)}
"""Numbers of set_mempolicy and get_mempolicy, for which the C library has no functions."""
_MOST_NODES = 1024

_memory_bound = False
_memory_limit: dict[str, Any] = {}


def apply(requested: Mapping[str, Any]) -> None:
    """Apply `cpus`, `nice`, `memory_nodes` and `memory_limit_bytes`, where requested, to all threads that will start.

    `memory_group` is the folder of a control group with this limit, if the host could make one.

    Raises:
        OSError: the kernel doesn't allow it.
    """
    global _memory_bound
    if requested.get("cpus"):
        os.sched_setaffinity(0, requested["cpus"])
    if requested.get("nice"):
        os.setpriority(os.PRIO_PROCESS, 0, requested["nice"])
    if requested.get("memory_nodes"):
        _set_memory_nodes(requested["memory_nodes"])
        _memory_bound = True
    if requested.get("memory_limit_bytes"):
        _limit_memory(requested["memory_limit_bytes"], requested.get("memory_group", ""))


def _limit_memory(limit_bytes: int, group: str) -> None:
    """By the control group, which counts the memory of all processes together; or else each one's address space."""
    global _memory_limit
    _memory_limit = {"bytes": limit_bytes, "by": "cgroup"}
    if group:
        with suppress(OSError), open(f"{group}/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")
            return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    _memory_limit["by"] = "address space"


def state() -> dict[str, Any]:
    """What is in effect now: `affinity` are the CPUs of all threads together, `nice` is this thread's priority.

    `memory_nodes` are those that memory is bound to; empty if it isn't bound. `memory_limit` has `bytes`, and `by` what
    it is enforced: "cgroup", or "address space" of each process; missing if there is none.
    """
    return {
        "affinity": sorted(set().union(*_affinities())),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "memory_nodes": _memory_nodes() if _memory_bound else [],
        **({"memory_limit": _memory_limit} if _memory_limit else {}),
    }


def _affinities() -> list[set[int]]:
    """The affinity of each thread: a runtime may have bound its own."""
    found = [os.sched_getaffinity(0)]
    for thread in os.listdir("/proc/self/task"):
        try:
            found.append(os.sched_getaffinity(int(thread)))
        except ProcessLookupError:  # it has ended in the meantime
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
        raise OSError(f"binding memory to nodes is unsupported on {kind}")
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(ctypes.c_long(_SYSTEM_CALLS[kind][which]), *arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def describe(requested: Mapping[str, Any]) -> str:
    """The requested resources, for people."""
    words = {
        "cpus": "the CPUs",
        "nice": "the priority",
        "memory_nodes": "the memory nodes",
        "memory_limit_bytes": "the memory limit in bytes",
    }
    return ", ".join(
        f"{words[name]} {machine.cpu_list(value) if isinstance(value, list) else value}"
        for name, value in requested.items()
        if value and name in words
    )
