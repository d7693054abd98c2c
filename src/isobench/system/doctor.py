"""What on this machine will disturb a measurement, and what to do about each. Nothing is changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from isobench.system.facts import Cpu, Host, Memory
from isobench.workers import machine

WATCHED_S = 1.0
BUSY_CORES = 0.02
"""A process that uses more of a core than this is named."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that disturbs: what it is, and what to do about it; "" where nothing can be done from here."""

    what: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """What went on while nobody measured: cores' time of each process that used some, the share that was stolen."""

    processes: Sequence[tuple[int, str, float]]
    steal_share: float


def watch(seconds: float = WATCHED_S) -> Busy:
    """See for a while which processes use the CPUs."""
    before, counters = _times(), machine.read_cpu()
    time.sleep(seconds)
    after = machine.between(counters, machine.read_cpu())
    used = []
    for pid, (name, ticks) in _times().items():
        cores = (ticks - before.get(pid, (name, 0))[1]) / TICKS_PER_S / seconds
        if pid != os.getpid() and cores > BUSY_CORES:
            used.append((pid, name, cores))
    used.sort(key=lambda entry: -entry[2])
    return Busy(processes=used, steal_share=after["steal_s"] / after["wall_s"])


def findings(host: Host, busy: Busy) -> list[Finding]:
    """What disturbs, from the facts of `provenance.host` and from what was seen of other processes."""
    return [*_others(busy, host), *_frequency(host.cpu), *_sharing(host), *_memory(host.memory)]


def _others(busy: Busy, host: Host) -> Iterator[Finding]:
    for pid, name, cores in busy.processes[:5]:
        yield Finding(
            what=f"{name} (pid {pid}) uses {cores:.0%} of a core", advice="end it, or wait until it has ended"
        )
    if busy.steal_share > 0.01:
        yield Finding(
            what=f"the hypervisor takes {busy.steal_share:.0%} of the time",
            advice="measure when the machine's neighbours are quiet, or on a machine of your own",
        )
    load = host.load_average[0]
    if not busy.processes and load > 0.5:
        yield Finding(what=f"the load was {load:.1f} in the last minute", advice="wait until it has gone down")


def _frequency(cpu: Cpu) -> Iterator[Finding]:
    governors = [governor for governor in cpu.governors if governor != "performance"]
    if governors:
        yield Finding(
            what=f"the frequency is governed by {', '.join(governors)}: it follows the load",
            advice="sudo cpupower frequency-set --governor performance",
        )
    if cpu.turbo:
        intel = "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo"
        other = "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost"
        yield Finding(
            what="turbo is on: the frequency depends on temperature and on what other cores do",
            advice=intel if cpu.driver == "intel_pstate" else other,
        )
    if cpu.smt == "on" and cpu.logical_cores > cpu.physical_cores:
        yield Finding(
            what="two threads share a core (SMT): what runs on the other slows this one",
            advice="--cpus with one thread of each core, or echo off | sudo tee /sys/devices/system/cpu/smt/control",
        )


def _sharing(host: Host) -> Iterator[Finding]:
    hypervisor = host.hypervisor
    if hypervisor.present:
        maker = " ".join(filter(None, (hypervisor.vendor, hypervisor.product))) or "of unknown make"
        yield Finding(
            what=f"this is a virtual machine ({maker}): others may share its cores, caches and memory",
            advice="compare only what takes turns (isobench compare), and calibrate",
        )
    quota = host.cpu_quota
    if quota is not None:
        yield Finding(
            what=f"a control group allows {quota:g} CPUs' worth of time, then it throttles",
            advice=f"use no more threads than that (--threads {max(1, int(quota))}), or lift the limit",
        )
    affinity, logical = len(host.affinity), host.cpu.logical_cores
    if affinity < logical and quota is None:
        yield Finding(what=f"this process may use {affinity} of {logical} CPUs", advice="taskset, or the batch system")
    clock = host.clock
    if clock.source not in {None, "tsc", "kvm-clock", "arch_sys_counter"}:
        yield Finding(
            what=f"the clock is {clock.source}: a reading costs {clock.cost_s * 1e9:.0f} ns",
            advice="boot with clocksource=tsc, where the processor's counter is reliable",
        )


def _memory(memory: Memory) -> Iterator[Finding]:
    available, total = memory.available_bytes, memory.total_bytes
    if available is not None and total and available < 0.1 * total:
        yield Finding(
            what=f"only {available / 2**30:.1f} of {total / 2**30:.1f} GiB of memory are free",
            advice="end what uses it: the rest is swapped, or taken from the file cache",
        )


def _times() -> dict[int, tuple[str, int]]:
    """Name and ticks of CPU time of every process that can be seen."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text(errors="replace")
        except OSError:  # it has ended
            continue
        name = text[text.index("(") + 1 : text.rindex(")")]
        fields = text[text.rindex(")") + 2 :].split()
        found[int(folder.name)] = (name, int(fields[11]) + int(fields[12]))
    return found
