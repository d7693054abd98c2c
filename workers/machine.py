"""The CPUs and memory that this process may use, and counters of what uses them.

Standard library only, and no siblings: the host imports this module, too. Only `read_cpu` is called between blocks of a
measurement: its files stay open, and it takes some 20 µs. Everything else is for before and after.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_THREADS_CPU_TIME = 6
"""The low bits of a clock's number that make it a thread's: CPUCLOCK_SCHED | CPUCLOCK_PERTHREAD."""
_FREQUENCY = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"


class Snapshot(NamedTuple):
    """Counters at one moment; only differences of two have a meaning."""

    wall_ns: int
    own_ns: int
    """CPU time of this process, all its threads, and its children that have ended."""
    busy_ns: int
    """CPU time that all processes used on the CPUs of this process, from an arbitrary start."""
    steal_ns: int
    involuntary_switches: int
    minor_faults: int
    major_faults: int
    throttled_ns: int
    frequency_mhz: float | None
    """Mean of our CPUs at this moment; None where the kernel doesn't report it (as in most virtual machines)."""


class _Sources(NamedTuple):
    """Open files to read counters from; -1 for a missing one."""

    cpus: frozenset[int]
    all_cpus: bool
    stat: int
    cpuacct: int
    throttle: int
    throttle_key: bytes
    throttle_unit_ns: int
    frequencies: tuple[int, ...]


_sources: _Sources | None = None


def cpus() -> tuple[int, ...]:
    """The logical CPUs that this process may run on."""
    return tuple(sorted(os.sched_getaffinity(0)))


def physical_cores(among: Iterable[int], *, sys_folder: str = "/sys") -> tuple[int, ...]:
    """The lowest logical CPU of each physical core that any of `among` belongs to."""
    remaining = set(among)
    first_of_core = []
    while remaining:
        cpu = min(remaining)
        first_of_core.append(cpu)
        topology = f"{sys_folder}/devices/system/cpu/cpu{cpu}/topology"
        # The second name is the older one. Core ids are not unique: some machines repeat them on each die.
        siblings = _text(f"{topology}/core_cpus_list") or _text(f"{topology}/thread_siblings_list")
        remaining -= {cpu, *parse_cpu_list(siblings)}
    return tuple(first_of_core)


_MOST_NUMBERS = 1 << 16


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """The numbers in the kernel's notation, such as "0-3,8".

    Raises:
        ValueError: it isn't in that notation, or more than any machine has.
    """
    numbers: list[int] = []
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            of_part = range(int(first), int(last or first) + 1)
            if len(numbers) + (of_part.stop - of_part.start) > _MOST_NUMBERS:
                raise ValueError(f"{part} has more numbers than any machine has CPUs")
            numbers.extend(of_part)
    return tuple(numbers)


def cpu_list(numbers: Iterable[int]) -> str:
    """Numbers in the kernel's notation, such as "0-3,8"."""
    ranges: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def memory_nodes() -> tuple[int, ...]:
    """The NUMA nodes that have memory; () where the kernel lists none."""
    return parse_cpu_list(_text("/sys/devices/system/node/has_memory") or _text("/sys/devices/system/node/online"))


def cpu_quota(*, proc_folder: str = "/proc", sys_folder: str = "/sys") -> tuple[float | None, str]:
    """The CPU quota of the control groups in CPUs, None where it is unlimited, and the folder of the tightest group."""
    quota: float | None = None
    tightest = ""
    for folder in _cgroup_folders("cpu", proc_folder, sys_folder):
        allowed = _quota_of(folder)
        if allowed is not None and (quota is None or allowed < quota):
            quota, tightest = allowed, folder
    return quota, tightest


def memory_limit(*, proc_folder: str = "/proc", sys_folder: str = "/sys") -> int | None:
    """The memory limit of the control groups in bytes, None where there is none."""
    limits = []
    for folder in _cgroup_folders("memory", proc_folder, sys_folder):
        text = _text(f"{folder}/memory.max") or _text(f"{folder}/memory.limit_in_bytes")
        if text.isdigit() and int(text) < 1 << 60:  # version 1 writes a number near 2**63 for "no limit"
            limits.append(int(text))
    return min(limits, default=None)


def _cgroup_folders(controller: str, proc_folder: str, sys_folder: str) -> list[str]:
    """The folders of this process's control group and of its ancestors, of both versions, innermost first."""
    folders = []
    for line in _text(f"{proc_folder}/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        mounted = f"{sys_folder}/fs/cgroup"
        if number == "0" and not controllers:
            top = f"{mounted}/unified" if os.path.isdir(f"{mounted}/unified") else mounted
        elif controller in controllers.split(","):
            top = f"{mounted}/{controller}"
        else:
            continue
        # Inside a container the path may be the host's; the container's own group is then mounted at the top.
        path = path.rstrip("/") if os.path.isdir(top + path) else ""
        while path:
            folders.append(top + path)
            path = path.rpartition("/")[0]
        folders.append(top)
    return folders


def _quota_of(folder: str) -> float | None:
    limit, _, period = _text(f"{folder}/cpu.max").partition(" ")
    if not limit:
        limit, period = _text(f"{folder}/cpu.cfs_quota_us"), _text(f"{folder}/cpu.cfs_period_us")
    return int(limit) / int(period) if limit.isdigit() and period.isdigit() and int(period) else None


def _open_sources() -> _Sources:
    def opened(path: str) -> int:
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return -1

    mine = frozenset(os.sched_getaffinity(0))
    online = parse_cpu_list(_text("/sys/devices/system/cpu/online"))
    # Nanoseconds where version 1's topmost group is visible (a container's own group has no `release_agent`), else the
    # idle time of /proc/stat. Not /proc/schedstat: it counts a task only when it leaves the CPU.
    accounting = "/sys/fs/cgroup/cpuacct"
    topmost = os.path.exists(f"{accounting}/release_agent")
    throttled = cpu_quota()[1]
    version_2 = bool(throttled) and os.path.exists(f"{throttled}/cpu.max")
    # A container may have its own /proc/stat, with other CPUs than the machine's.
    names = (line.partition(" ")[0] for line in _text("/proc/stat").splitlines())
    shown = {name for name in names if name[3:].isdigit()}
    return _Sources(
        cpus=mine & set(online) if online else mine,
        all_cpus=mine.issuperset(online) and shown == {f"cpu{cpu}" for cpu in online},
        stat=opened("/proc/stat"),
        cpuacct=opened(f"{accounting}/cpuacct.usage_percpu") if topmost else -1,
        throttle=opened(f"{throttled}/cpu.stat") if throttled else -1,
        throttle_key=b"throttled_usec " if version_2 else b"throttled_time ",
        throttle_unit_ns=1000 if version_2 else 1,
        frequencies=tuple(file for file in (opened(_FREQUENCY.format(cpu)) for cpu in sorted(mine)) if file >= 0),
    )


def read_cpu() -> Snapshot:
    """Read all counters once: about 20 µs on a machine of a few CPUs."""
    global _sources
    if _sources is None:
        _sources = _open_sources()
    sources = _sources
    _note_use()
    busy_ns, steal_ns, wall_ns = _from_stat(sources)
    if sources.cpuacct >= 0:
        used = os.pread(sources.cpuacct, 1 << 14, 0).split()
        busy_ns = sum(map(int, used)) if sources.all_cpus else sum(int(used[cpu]) for cpu in sources.cpus)
    throttled_ns = 0
    if sources.throttle >= 0:
        _, _, after = os.pread(sources.throttle, 4096, 0).partition(sources.throttle_key)
        throttled_ns = int(after.split(None, 1)[0]) * sources.throttle_unit_ns if after else 0
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Snapshot(
        wall_ns,
        time.clock_gettime_ns(time.CLOCK_PROCESS_CPUTIME_ID) + int((children.ru_utime + children.ru_stime) * 1e9),
        busy_ns,
        steal_ns,
        own.ru_nivcsw,
        own.ru_minflt,
        own.ru_majflt,
        throttled_ns,
        _frequency_mhz(sources.frequencies),
    )


def _frequency_mhz(files: tuple[int, ...]) -> float | None:
    found = [int(os.pread(file, 32, 0)) for file in files]
    return sum(found) / len(found) / 1000 if found else None


def _note_use() -> None:
    """Have the kernel account for the CPU time of each of our threads until now.

    It accounts for threads on other CPUs only at ticks, up to 10 ms apart and on all CPUs at once, unless the thread's
    own clock is read.
    """
    for thread in _threads():
        with suppress(OSError):  # it has ended in the meantime
            _used_ns(thread)


def _threads() -> list[int]:
    return [int(thread) for thread in os.listdir("/proc/self/task")]


def _used_ns(thread: int) -> int:
    return time.clock_gettime_ns(~thread << 3 | _THREADS_CPU_TIME)


def _from_stat(sources: _Sources) -> tuple[int, int, int]:
    """Busy and stolen nanoseconds of our CPUs from /proc/stat, whose first line is the sum of all CPUs; and the clock.

    Busy is all that isn't idle: the kernel measures idle time, but samples all other times at its ticks, with an error
    that grows with the number of CPUs.
    """
    if sources.stat < 0:
        return 0, 0, time.perf_counter_ns()
    wanted = 1 if sources.all_cpus else max(sources.cpus) + 2
    text = os.pread(sources.stat, 160 * wanted, 0)
    wall_ns = time.perf_counter_ns()
    names = {b"cpu"} if sources.all_cpus else {b"cpu%d" % cpu for cpu in sources.cpus}
    counted = idle = steal = 0
    for line in text.split(b"\n", wanted)[:wanted]:
        name, _, rest = line.partition(b" ")
        fields = rest.split() if name in names else []
        waited = sum(map(int, fields[3:5]))  # for work, or for a disk
        if waited:  # some systems report only zeros
            counted += len(sources.cpus) if sources.all_cpus else 1
            idle += waited
            steal += int(fields[7])
    tick_ns = 1_000_000_000 // _TICKS_PER_S
    return counted * wall_ns - (idle + steal) * tick_ns, steal * tick_ns, wall_ns


def between(before: Snapshot, after: Snapshot) -> dict[str, Any]:
    """What happened between two snapshots, as JSON: seconds of CPU time are summed over CPUs.

    `cpu_others_s` is what other processes used of our CPUs (0 where the coarser counters disagree), accurate to
    `cpu_resolution_s()`.
    """
    own_ns = after.own_ns - before.own_ns
    return {
        "wall_s": (after.wall_ns - before.wall_ns) / 1e9,
        "cpu_own_s": own_ns / 1e9,
        "cpu_others_s": max(0, after.busy_ns - before.busy_ns - own_ns) / 1e9,
        "steal_s": max(0, after.steal_ns - before.steal_ns) / 1e9,
        "involuntary_switches": after.involuntary_switches - before.involuntary_switches,
        "minor_faults": after.minor_faults - before.minor_faults,
        "major_faults": after.major_faults - before.major_faults,
        "throttled_s": max(0, after.throttled_ns - before.throttled_ns) / 1e9,
        "frequency_mhz": after.frequency_mhz,
    }


def cpu_step_s() -> float:
    """The steps in which the counters grow: a tick of the scheduler, or of /proc/stat."""
    global _sources
    if _sources is None:
        _sources = _open_sources()
    return 0.004 if _sources.cpuacct >= 0 else 1 / _TICKS_PER_S


def cpu_resolution_s() -> float:
    """The error of `cpu_others_s`: one step, or, where CPUs are counted one by one, an independent step for each."""
    step_s = cpu_step_s()
    assert _sources is not None
    one_by_one = _sources.cpuacct < 0 and not _sources.all_cpus
    return step_s * (len(_sources.cpus) ** 0.5 if one_by_one else 1)


def threads() -> int:
    """The number of threads that this process has now."""
    return len(_threads())


def other_threads_ns() -> int:
    """The CPU time that this process's other threads have used until now.

    From each thread's own clock: the clock of the process accounts for them only at ticks.
    """
    used_ns = 0
    for thread in _threads():
        if thread != threading.get_native_id():
            with suppress(OSError):  # it has ended in the meantime
                used_ns += _used_ns(thread)
    return used_ns


def other_threads_runnable() -> bool:
    """Is any of this process's other threads running, or waiting for a CPU?"""
    for thread in _threads():
        if thread != threading.get_native_id():
            with suppress(OSError), open(f"/proc/self/task/{thread}/stat", "rb") as file:
                if file.read().rpartition(b")")[2].split(None, 1)[0] == b"R":
                    return True
    return False


def frequencies_mhz() -> list[float]:
    """The present frequency of each of our CPUs that the kernel reports; in virtual machines it's the nominal one."""
    found = [_text(_FREQUENCY.format(cpu)) for cpu in cpus()]
    if all(text.isdigit() for text in found):
        return [int(text) / 1000 for text in found]
    mine = set(cpus())
    frequencies = []
    cpu = -1
    for line in _text("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.startswith("processor"):
            cpu = int(value)
        elif name.startswith("cpu MHz") and cpu in mine:
            frequencies.append(float(value))
    return frequencies


def state() -> dict[str, Any]:
    """What holds in this process now, as JSON."""
    return {
        "threads": threads(),
        "cpu_resolution_s": cpu_resolution_s(),
        "frequencies_mhz": frequencies_mhz(),
    }


def _text(path: str) -> str:
    """The contents of a small file without the final newline; "" where it can't be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""
