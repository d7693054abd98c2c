from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from sample_results import HOST

from isobench.system import doctor, provenance
from isobench.system.doctor import Busy
from isobench.system.facts import Host

QUIET = Busy(processes=(), steal_share=0.0)


def on_cpu(**facts: Any) -> Host:
    return replace(HOST, cpu=replace(HOST.cpu, **facts))


def test_a_quiet_machine_of_ones_own_has_nothing_to_fix() -> None:
    assert doctor.findings(HOST, QUIET) == []


@pytest.mark.parametrize(
    ("host", "what", "advice"),
    [
        (on_cpu(governors=("powersave",)), "governor is powersave", "cpupower frequency-set"),
        (on_cpu(turbo=True), "turbo is on", "no_turbo"),
        (replace(HOST, cpu_quota=1.5), "limits this process to 1.5 CPUs", "--threads 1"),
        (replace(HOST, affinity=(0,)), "may use 1 of 4 CPUs", "taskset"),
        (
            replace(HOST, clock=replace(HOST.clock, source="hpet")),
            "the clock source is hpet: one reading costs 50 ns",
            "clocksource=tsc",
        ),
        (
            replace(HOST, memory=replace(HOST.memory, available_bytes=1 << 30)),
            "only 1.0 of 16.0 GiB",
            "stop processes that use it",
        ),
        (replace(HOST, load_average=(3.0, 0.0, 0.0)), "the load was 3.0", "wait"),
        (
            replace(HOST, hypervisor=replace(HOST.hypervisor, present=True, vendor="QEMU")),
            "virtual machine (QEMU)",
            "compare",
        ),
        (on_cpu(smt="on", physical_cores=2), "(SMT)", "--cpus"),
    ],
)
def test_what_disturbs_is_found_with_what_to_do(host: Host, what: str, advice: str) -> None:
    [finding] = doctor.findings(host, QUIET)
    assert what in finding.what
    assert advice in finding.advice


def test_stolen_time_is_found() -> None:
    [finding] = doctor.findings(HOST, Busy(processes=(), steal_share=0.12))
    assert "steals 12% of the CPU time" in finding.what


def test_a_process_that_is_busy_is_named() -> None:
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        busy = doctor.watch(0.5)
        assert hog.pid in [one.pid for one in busy.processes]
        assert any(f"(pid {hog.pid}) uses" in finding.what for finding in doctor.findings(HOST, busy))
    finally:
        hog.kill()
        hog.wait()


def test_the_facts_of_this_machine_are_enough() -> None:
    for finding in doctor.findings(provenance.host(), QUIET):
        assert finding.what
