"""Gathers the facts about the machine, the software and the clock that a Result carries, without starting a program.

`host` takes some milliseconds and is called while the worker starts. What can't be read is None; nothing is guessed. Of
the environment's variables only those are recorded that `process_facts.RECORDED_VARIABLES` lists.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from isobench import redaction
from isobench.system.facts import Cache, Clock, Cpu, Host, Hypervisor, Kernel, Memory, Python
from isobench.version import VERSION
from isobench.workers import machine, process_facts

_CPU = "/sys/devices/system/cpu"


def host() -> Host:
    """Facts about this machine and this process."""
    system = os.uname()
    quota, _ = machine.cpu_quota()
    return Host(
        hostname=system.nodename,
        cpu=_cpu(),
        memory=_memory(),
        kernel=Kernel(release=system.release, version=system.version, machine=system.machine),
        os=_os_name(),
        glibc=_glibc(),
        hypervisor=_hypervisor(),
        container=_container(),
        affinity=tuple(machine.cpus()),
        cpu_quota=quota,
        load_average=os.getloadavg(),
        transparent_hugepages=_chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
        address_space_randomization=_number("/proc/sys/kernel/randomize_va_space"),
        clock=clock(),
        python=Python(version=sys.version, executable=sys.executable),
        isobench=VERSION,
        command=redaction.words(sys.argv),
        environment=process_facts.recorded_variables(),
    )


def cpu_model() -> str:
    """The CPU's name as its maker has it; the architecture's where that is unknown."""
    return _cpu().model or os.uname().machine


def clock() -> Clock:
    """The clock that latencies are measured with; takes 200 readings."""
    info = time.get_clock_info("perf_counter")
    readings = 200
    read = time.perf_counter_ns
    started = read()
    for _ in range(readings):
        read()
    cost_s = (read() - started) / readings / 1e9
    return Clock(
        name=info.implementation,
        source=_line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        resolution_s=info.resolution,
        cost_s=cost_s,
    )


def _cpu() -> Cpu:
    # One processor's entry is enough, and the kernel makes no more of this long file than is read.
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        entry = file.read(8192).split("\n\n", 1)[0]
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in entry.splitlines())}
    online = machine.parse_cpu_list(_line(f"{_CPU}/online") or "") or machine.cpus()
    cores = machine.physical_cores(online)
    sockets = {_line(f"{_CPU}/cpu{cpu}/topology/physical_package_id") for cpu in cores}
    governors = {_line(f"{_CPU}/cpu{cpu}/cpufreq/scaling_governor") for cpu in cores}
    return Cpu(
        model=fields.get("model name"),
        vendor=fields.get("vendor_id") or fields.get("CPU implementer"),
        family=fields.get("cpu family"),
        model_number=fields.get("model") or fields.get("CPU part"),
        stepping=fields.get("stepping") or fields.get("CPU revision"),
        microcode=fields.get("microcode"),
        flags=tuple(sorted((fields.get("flags") or fields.get("Features") or "").split())),
        logical_cores=len(online),
        physical_cores=len(cores),
        sockets=len(sockets),
        smt=_line(f"{_CPU}/smt/control"),
        caches=tuple(_caches(online[0])),
        max_mhz=_megahertz(f"{_CPU}/cpu{online[0]}/cpufreq/cpuinfo_max_freq"),
        now_mhz=float(fields["cpu MHz"]) if "cpu MHz" in fields else None,
        driver=_line(f"{_CPU}/cpu{online[0]}/cpufreq/scaling_driver"),
        governors=tuple(sorted(governor for governor in governors if governor)),
        turbo=_turbo(),
    )


def _caches(cpu: int) -> Iterator[Cache]:
    for index in range(8):
        folder = f"{_CPU}/cpu{cpu}/cache/index{index}"
        level = _number(f"{folder}/level")
        if level is None:
            break
        yield Cache(level=level, type=_line(f"{folder}/type"), size=_line(f"{folder}/size"))


def _turbo() -> bool | None:
    """Whether the CPU may exceed its nominal frequency, as far as the kernel's driver knows."""
    forbidden = _number(f"{_CPU}/intel_pstate/no_turbo")
    if forbidden is not None:
        return not forbidden
    boost = _number(f"{_CPU}/cpufreq/boost")
    return None if boost is None else bool(boost)


def _memory() -> Memory:
    lines = (line.split() for line in _text("/proc/meminfo").splitlines())
    size_bytes = {words[0]: int(words[1]) * 1024 for words in lines if words[-1] == "kB"}
    return Memory(
        total_bytes=size_bytes.get("MemTotal:"),
        available_bytes=size_bytes.get("MemAvailable:"),
        swap_bytes=size_bytes.get("SwapTotal:"),
        limit_bytes=machine.memory_limit(),
    )


def _os_name() -> str | None:
    for line in _text("/etc/os-release").splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip("\"'")
    return None


def _glibc() -> str | None:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):  # another C library
        return None


def _hypervisor() -> Hypervisor:
    return Hypervisor(
        present=" hypervisor" in _text("/proc/cpuinfo", limit=8192) or bool(_line("/sys/hypervisor/type")),
        type=_line("/sys/hypervisor/type"),
        vendor=_line("/sys/class/dmi/id/sys_vendor"),
        product=_line("/sys/class/dmi/id/product_name"),
    )


def _container() -> str | None:
    """The kind of container this process runs in, by the marks that engines leave; None: no mark."""
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    for mark, kind in (("/run/.containerenv", "podman"), ("/.dockerenv", "docker")):
        if os.path.exists(mark):  # noqa: PTH110
            return kind
    groups = _text("/proc/self/cgroup")
    for sign, kind in (("kubepods", "kubernetes"), ("docker", "docker"), ("libpod", "podman"), ("/lxc", "lxc")):
        if sign in groups:
            return kind
    return _line("/run/systemd/container")


def _chosen(path: str) -> str | None:
    """The bracketed word of `always [madvise] never`."""
    _, bracket, rest = (_line(path) or "").partition("[")
    return rest.partition("]")[0] if bracket else None


def _megahertz(path: str) -> float | None:
    kilohertz = _number(path)
    return None if kilohertz is None else kilohertz / 1000


def _number(path: str) -> int | None:
    line = _line(path)
    return int(line) if line is not None and line.isdigit() else None


def _line(path: str) -> str | None:
    """What a file of one line holds; None where it is missing, can't be read or is empty."""
    return _text(path).strip() or None


def _text(path: str | Path, limit: int = -1) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read(limit)
    except OSError:
        return ""
