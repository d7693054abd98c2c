"""Homes, environments and a conda channel for the integration tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import conda_world
import loopback
import pytest
import shared_home

from isobench.environments import Environment


@pytest.fixture(scope="session")
def ort_python(provisioned: Callable[[str], Environment]) -> Path:
    return provisioned("ort").python


@pytest.fixture(scope="session")
def torch_python(provisioned: Callable[[str], Environment]) -> Path:
    return provisioned("torch").python


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ISOBENCH_HOME of the test's own, which shares the environments and what torch.compile compiled."""
    home = tmp_path / "home"
    shared_home.share(home, "cache/torch-compiled", "tmp")
    monkeypatch.setenv("ISOBENCH_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conda channel on this machine, packed once."""
    folder = tmp_path_factory.mktemp("channel")
    conda_world.write_channel(folder, tmp_path_factory.mktemp("staging"))
    return folder


@pytest.fixture(scope="session")
def server(channel: Path) -> Iterator[loopback.ChannelServer]:
    with loopback.serving(channel) as server:
        yield server


@pytest.fixture(scope="session")
def conda_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """rattler's cache, shared by the tests that don't test it."""
    return tmp_path_factory.mktemp("rattler-cache")
