"""A lock's file, processes, and a system without flock."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lock_world import NO_FLOCK, Start


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.lock"


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a Python process with a program and arguments; those that still run at the end are killed."""
    started = []

    def start_(program: str, *arguments: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, *map(str, arguments)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
        )
        started.append(process)
        return process

    yield start_
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def no_flock(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a process for which flock doesn't work, as on a file system that lacks it."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("no_flock")
    (folder / "no_flock.c").write_text(NO_FLOCK)
    library = folder / "no_flock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "no_flock.c"], check=True)
    return {"LD_PRELOAD": str(library), "NO_FLOCK_ERRNO": "38"}
