"""The trials measure in real environments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import shared_home

from isobench.environments import Environment


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ISOBENCH_HOME of the test's own, which shares the environments."""
    home = tmp_path / "home"
    shared_home.share(home)
    monkeypatch.setenv("ISOBENCH_HOME", str(home))
    return home


@pytest.fixture
def ort_home(home: Path, provisioned: Callable[[str], Environment]) -> Path:
    """An ISOBENCH_HOME of the test's own, in which `ort` is installed."""
    provisioned("ort")
    return home
