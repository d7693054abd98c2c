"""Real environments for the integration tests, installed once and stored: their names contain their identity."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import conda_world
import loopback
import pytest

from isobench import environments
from isobench.environments import Environment

STORED = Path(__file__).parents[2] / "build" / "test-home"


@pytest.fixture(scope="session")
def provisioned() -> Callable[[str], Environment]:
    """Creates an environment of `envs/`, outside of any test's own ISOBENCH_HOME."""

    def provision(name: str) -> Environment:
        before = os.environ.get("ISOBENCH_HOME")
        os.environ["ISOBENCH_HOME"] = str(STORED)
        try:
            return environments.create(environments.spec(name), progress=print)
        finally:
            if before is None:
                del os.environ["ISOBENCH_HOME"]
            else:
                os.environ["ISOBENCH_HOME"] = before

    return provision


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
    (home / "cache").mkdir(parents=True)
    for name in ("environments", "cache/torch-compiled", "tmp"):
        (STORED / name).mkdir(parents=True, exist_ok=True)
        (home / name).symlink_to(STORED / name)
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
