"""A real Slurm for the tests of this folder: slurmctld and two slurmd, both of them this machine under two names."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import slurm_world

from isobench.environments import Environment


@pytest.fixture(scope="module")
def cluster() -> Iterator[slurm_world.Slurm]:
    reason = slurm_world.reason_to_skip()
    if reason:
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, slurm_world.running(Path(folder)) as slurm:
        yield slurm


@pytest.fixture
def slurm(
    cluster: slurm_world.Slurm,
    home: Path,
    provisioned: Callable[[str], Environment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[slurm_world.Slurm]:
    """The cluster, idle before and after each test."""
    provisioned("ort")
    monkeypatch.setenv("ISOBENCH_DEVICE_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("HOME", raising=False)
    for name, value in cluster.variables.items():
        monkeypatch.setenv(name, value)
    for node in slurm_world.NODES:
        cluster.revive(node)
    yield cluster
    cluster.run("scancel", f"--user={os.getuid()}")
