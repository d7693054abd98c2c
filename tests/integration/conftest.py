"""Real environments for the integration tests, laid down once and kept: their names are their identity."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from isobench import environments
from isobench.environments import Environment

KEPT = Path(__file__).parents[2] / "build" / "test-home"


@pytest.fixture(scope="session")
def provisioned() -> Callable[[str], Environment]:
    """Makes an environment of `envs/` ready, outside of any test's own ISOBENCH_HOME."""

    def provision(name: str) -> Environment:
        before = os.environ.get("ISOBENCH_HOME")
        os.environ["ISOBENCH_HOME"] = str(KEPT)
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
    """An ISOBENCH_HOME of the test's own, which shares nothing but the environments (and uv's and torch's caches)."""
    home = tmp_path / "home"
    home.mkdir()
    (KEPT / "environments").mkdir(parents=True, exist_ok=True)
    (home / "environments").symlink_to(KEPT / "environments")
    monkeypatch.setenv("ISOBENCH_HOME", str(home))
    return home
