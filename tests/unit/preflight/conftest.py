"""The folder of a suite, with two scripts."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text("# labels: name::alpha task::nlp\n")
    (tmp_path / "b.py").write_text("# labels: task::vision\n")
    return tmp_path
