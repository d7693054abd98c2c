"""A world of its own for each test of environments, and what is asked of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from environment_world import RunPython, World

from isobench import paths
from isobench.environments import Environment


@pytest.fixture
def conda(world: World, conda_cache: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world with a conda channel near it."""
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(conda_cache))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(world.root / "config"))
    return world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    world = World(tmp_path, paths.PACKAGE)
    monkeypatch.setattr(paths, "ENVS", world.envs)
    settings = {
        "ISOBENCH_HOME": world.home,
        "UV_CACHE_DIR": tmp_path / "cache",
        "UV_FIND_LINKS": world.wheels,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "UV_OFFLINE": "1",
        "UV_CONFIG_FILE": tmp_path / "uv.toml",
        "TMPDIR": tmp_path / "temporary",  # processes are killed here, which leave what they leave
    }
    (tmp_path / "uv.toml").touch()
    (tmp_path / "temporary").mkdir()
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(tmp_path)
    return world


@pytest.fixture
def run_python() -> RunPython:
    """Runs a line of Python in an environment, as a worker is run; returns what it prints."""

    def run(environment: Environment, code: str) -> str:
        argv = [environment.python, "-I", "-B", "-c", code]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    return run
