"""The trials measure in the real environments of the integration tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from isobench import environments
from isobench.environments import Environment

STORED = Path(__file__).parents[2] / "build" / "test-home"


@pytest.fixture(scope="session")
def provisioned() -> Callable[[str], Environment]:
    """Creates an environment of `envs/`, outside of any test's own ISOBENCH_HOME."""

    def provision(name: str) -> Environment:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ISOBENCH_HOME", str(STORED))
            return environments.create(environments.spec(name), progress=print)

    return provision


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ISOBENCH_HOME of the test's own, which shares the environments."""
    home = tmp_path / "home"
    home.mkdir()
    (STORED / "environments").mkdir(parents=True, exist_ok=True)
    (home / "environments").symlink_to(STORED / "environments")
    monkeypatch.setenv("ISOBENCH_HOME", str(home))
    return home
