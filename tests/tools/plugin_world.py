"""Installs plugins on `sys.path`, for tests that need no environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, *, package: str = "a_plugin_of_the_tests", **files: str
) -> Path:
    """A package whose `__init__` is `code`, with an entry point; in the names of further `files`, `__` is a slash."""
    inside = folder / package
    inside.mkdir(parents=True)
    (inside / "__init__.py").write_text(code)
    for name, text in files.items():
        file = inside / name.replace("__", "/").replace("_py", ".py").replace("_txt", ".txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    metadata = folder / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text(
        f"[console_scripts]\nx = y:z\n\n[isobench.plugins]\n{package} = {package}\n\n[other]\na = b\n"
    )
    if str(folder) not in sys.path:
        monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, package, raising=False)
    return inside
