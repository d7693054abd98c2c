"""An image for the tests, an environment that is nothing but it, and workers that are run in it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import container_world
import pytest
from container_world import Run

from isobench.environments import Environment
from isobench.environments.container import engine, running

STORED = Path(__file__).parents[3] / "build" / "test-containers"


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """The ID of an image that has a Python, with podman set up so that it finds it."""
    if shutil.which("podman") is None:
        pytest.skip("podman isn't installed (apt-get install podman)")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in container_world.configured(STORED).items():
            patch.setenv(name, value)
        engine._examined.cache_clear()
        try:
            identity = container_world.made(STORED / "image.tar")
            box = running.container(engine.find(), identity, [container_world.PYTHON, "-c", "pass"])
            subprocess.run(box.argv, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"podman can't run containers here: {error}")
        yield identity
        container_world.forget_images()


@pytest.fixture
def home(image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ISOBENCH_HOME and an `envs/` of the test's own, with an environment `bare` that is the image alone."""
    home = tmp_path / "home"
    monkeypatch.setenv("ISOBENCH_HOME", str(home))
    monkeypatch.setenv("ISOBENCH_ENVS", str(tmp_path / "envs"))
    container_world.write_spec(tmp_path / "envs" / "bare", image)
    return home


@pytest.fixture
def bare(home: Path) -> Environment:
    return container_world.create("bare")


@pytest.fixture(params=["podman", "docker"])
def run(
    request: pytest.FixtureRequest, bare: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    if request.param == "podman":
        yield Run(bare, tmp_path)
        return
    if shutil.which("docker") is None:
        pytest.skip("docker's client isn't installed")
    with container_world.docker_api() as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        monkeypatch.setenv("ISOBENCH_CONTAINER_ENGINE", "docker")
        engine._examined.cache_clear()
        yield Run(bare, tmp_path)
        engine._examined.cache_clear()
