"""What on this machine will disturb a measurement, and what to do about each. Nothing is changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from isobench.record import record
from isobench.system.facts import Cpu, Host, Memory
from isobench.workers import machine

WATCHED_S = 1.0
BUSY_CORES = 0.02
"""A process that uses a larger share of a core is busy."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@record(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that disturbs measurements, and what to do about it; "" where nothing can be done from here."""

    what: str
    advice: str


@record(frozen=True, slots=True, kw_only=True)
class BusyProcess:
    """A process that used the CPU: `cores` is the number of cores that it used on average."""

    pid: int
    name: str
    cores: float


@record(frozen=True, slots=True, kw_only=True)
class Busy:
    """What the machine did while nothing was measured: busy processes, the busiest first, and the stolen time."""

    processes: tuple[BusyProcess, ...]
    steal_share: float


def watch(seconds: float = WATCHED_S) -> Busy:
    """Observe the CPUs for a while."""
    before, counters = _times(), machine.read_cpu()
    time.sleep(seconds)
    after = machine.between(counters, machine.read_cpu())
    used = []
    for pid, (name, ticks) in _times().items():
        cores = (ticks - before.get(pid, (name, 0))[1]) / TICKS_PER_S / seconds
        if pid != os.getpid() and cores > BUSY_CORES:
            used.append(BusyProcess(pid=pid, name=name, cores=cores))
    used.sort(key=lambda one: -one.cores)
    return Busy(processes=tuple(used), steal_share=after["steal_s"] / after["wall_s"])


def findings(host: Host, busy: Busy) -> list[Finding]:
    """What disturbs measurements on this machine, by the facts of `provenance.host` and of `watch`."""
    return [*_others(busy, host), *_frequency(host.cpu), *_sharing(host), *_memory(host.memory)]


def _others(busy: Busy, host: Host) -> Iterator[Finding]:
    for one in busy.processes[:5]:
        yield Finding(
            what=f"{one.name} (pid {one.pid}) uses {one.cores:.0%} of a core",
            advice=f"stop it (kill {one.pid}), or wait until it ends",
        )
    if busy.steal_share > 0.01:
        yield Finding(
            what=f"the hypervisor steals {busy.steal_share:.0%} of the CPU time",
            advice="measure when the neighbours on the host are idle, or on a dedicated machine",
        )
    load = host.load_average[0]
    if not busy.processes and load > 0.5:
        yield Finding(what=f"the load was {load:.1f} in the last minute", advice="wait until it drops (uptime)")


def _frequency(cpu: Cpu) -> Iterator[Finding]:
    governors = [governor for governor in cpu.governors if governor != "performance"]
    if governors:
        yield Finding(
            what=f"the frequency governor is {', '.join(governors)}: the frequency follows the load",
            advice="sudo cpupower frequency-set --governor performance",
        )
    if cpu.turbo:
        intel = "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo"
        other = "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost"
        yield Finding(
            what="turbo is on: the frequency depends on the temperature and on the load of other cores",
            advice=intel if cpu.driver == "intel_pstate" else other,
        )
    if cpu.smt == "on" and cpu.logical_cores > cpu.physical_cores:
        yield Finding(
            what="two hardware threads share a core (SMT) and slow each other",
            advice="use --cpus with one CPU of each core, or: echo off | sudo tee /sys/devices/system/cpu/smt/control",
        )


def _sharing(host: Host) -> Iterator[Finding]:
    hypervisor = host.hypervisor
    if hypervisor.present:
        maker = " ".join(filter(None, (hypervisor.vendor, hypervisor.product))) or "unknown hypervisor"
        yield Finding(
            what=f"this is a virtual machine ({maker}): others may share its cores, caches and memory",
            advice="compare interleaved measurements (isobench compare), and run isobench calibrate",
        )
    quota = host.cpu_quota
    if quota is not None:
        yield Finding(
            what=f"the control group limits this process to {quota:g} CPUs and throttles it beyond",
            advice=f"use at most that many threads (--threads {max(1, int(quota))}), or raise the limit",
        )
    affinity, logical = len(host.affinity), host.cpu.logical_cores
    if affinity < logical and quota is None:
        yield Finding(
            what=f"this process may use {affinity} of {logical} CPUs",
            advice="change its affinity: taskset, or the batch system's options",
        )
    clock = host.clock
    if clock.source not in {None, "tsc", "kvm-clock", "arch_sys_counter"}:
        yield Finding(
            what=f"the clock source is {clock.source}: one reading costs {clock.cost_s * 1e9:.0f} ns",
            advice="boot with clocksource=tsc, if the processor's counter is reliable",
        )


def _memory(memory: Memory) -> Iterator[Finding]:
    available, total = memory.available_bytes, memory.total_bytes
    if available is not None and total and available < 0.1 * total:
        yield Finding(
            what=f"only {available / 2**30:.1f} of {total / 2**30:.1f} GiB of memory are available",
            advice="stop processes that use it, before the machine swaps",
        )


def _times() -> dict[int, tuple[str, int]]:
    """Name and CPU time, in ticks, of every visible process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text(errors="replace")
        except OSError:  # it has exited
            continue
        name = text[text.index("(") + 1 : text.rindex(")")]
        fields = text[text.rindex(")") + 2 :].split()
        found[int(folder.name)] = (name, int(fields[11]) + int(fields[12]))
    return found
