from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict

import pytest

import isobench
from isobench.system import provenance


def test_facts_about_the_host_are_json_and_true() -> None:
    facts = json.loads(json.dumps(asdict(provenance.host()), allow_nan=False))
    assert facts["isobench"] == isobench.__version__
    assert facts["python"]["executable"] == sys.executable
    assert facts["kernel"]["release"] == os.uname().release
    assert facts["affinity"] == sorted(os.sched_getaffinity(0))
    assert facts["cpu"]["logical_cores"] == os.sysconf("SC_NPROCESSORS_ONLN")
    assert 1 <= facts["cpu"]["sockets"] <= facts["cpu"]["physical_cores"] <= facts["cpu"]["logical_cores"]
    assert facts["cpu"]["flags"] == sorted(facts["cpu"]["flags"]) != []
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert facts["memory"]["total_bytes"] == pytest.approx(pages, rel=0.05)


def test_facts_about_the_host_start_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a program was started")

    for name in ("fork", "posix_spawn", "system"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert provenance.host().cpu.model


def test_no_secret_of_the_environment_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "hunter2")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    facts = provenance.host()
    assert "hunter2" not in json.dumps(asdict(facts))
    assert facts.environment["OMP_NUM_THREADS"] == "5"


def test_the_clock_is_described_and_one_reading_is_cheap() -> None:
    clock = provenance.clock()
    assert 0 < clock.resolution_s < 1e-3
    assert 0 < clock.cost_s < 1e-4
