from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest

from isobench.system import doctor, provenance
from isobench.system.doctor import Busy

QUIET = Busy(processes=(), steal_share=0.0)
HOST: dict[str, Any] = {
    "cpu": {
        "governors": ["performance"],
        "turbo": False,
        "driver": "intel_pstate",
        "smt": "off",
        "logical_cores": 4,
        "physical_cores": 4,
    },
    "load_average": [0.0, 0.0, 0.0],
    "hypervisor": {"present": False, "vendor": None, "product": None},
    "cpu_quota": None,
    "affinity": [0, 1, 2, 3],
    "clock": {"source": "tsc", "cost_s": 5e-8},
    "memory": {"available_bytes": 8 << 30, "total_bytes": 16 << 30},
}


def test_a_quiet_machine_of_ones_own_has_nothing_to_mend() -> None:
    assert doctor.findings(HOST, QUIET) == []


@pytest.mark.parametrize(
    ("path", "value", "what", "advice"),
    [
        (("cpu", "governors"), ["powersave"], "governed by powersave", "cpupower frequency-set"),
        (("cpu", "turbo"), True, "turbo is on", "no_turbo"),
        (("cpu_quota",), 1.5, "allows 1.5 CPUs' worth of time", "--threads 1"),
        (("affinity",), [0], "may use 1 of 4 CPUs", "taskset"),
        (("clock", "source"), "hpet", "the clock is hpet: a reading costs 50 ns", "clocksource=tsc"),
        (("memory", "available_bytes"), 1 << 30, "only 1.0 of 16.0 GiB", "end what uses it"),
        (("load_average",), [3.0, 0, 0], "the load was 3.0", "wait"),
        (("hypervisor",), {"present": True, "vendor": "QEMU", "product": None}, "virtual machine (QEMU)", "compare"),
    ],
)
def test_what_disturbs_is_told_with_what_to_do(path: tuple[str, ...], value: Any, what: str, advice: str) -> None:
    host = copy.deepcopy(HOST)
    inner = host
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    [finding] = doctor.findings(host, QUIET)
    assert what in finding.what
    assert advice in finding.advice


def test_threads_that_share_a_core_are_told() -> None:
    host = copy.deepcopy(HOST)
    host["cpu"] |= {"smt": "on", "physical_cores": 2}
    [finding] = doctor.findings(host, QUIET)
    assert "(SMT)" in finding.what


def test_stolen_time_is_told() -> None:
    [finding] = doctor.findings(HOST, Busy(processes=(), steal_share=0.12))
    assert "takes 12% of the time" in finding.what


def test_a_process_that_is_busy_is_named() -> None:
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        busy = doctor.watch(0.5)
        assert hog.pid in [pid for pid, _, _ in busy.processes]
        assert any(f"(pid {hog.pid}) uses" in finding.what for finding in doctor.findings(HOST, busy))
    finally:
        hog.kill()
        hog.wait()


def test_the_facts_of_this_machine_are_enough() -> None:
    for finding in doctor.findings(provenance.host(), QUIET):
        assert finding.what
