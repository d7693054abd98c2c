"""What the tests of several modules need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def home_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """$ISOBENCH_HOME, which doesn't exist, where fsync costs nothing: for tests that store a build each."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else tmp_path) as folder:
        monkeypatch.setenv("ISOBENCH_HOME", f"{folder}/home")
        yield Path(folder, "home")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script, for builds that nothing was made for."""
    script = tmp_path / "model.py"
    script.write_text("import torch\n")
    return script
