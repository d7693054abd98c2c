"""The wheel: what users install."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def test_a_wheel_holds_every_module_worker_and_lock(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(
        ROOT,
        checkout,
        symlinks=True,
        ignore=shutil.ignore_patterns(".git", ".venv", "build", "__pycache__", "*.egg-info", ".*_cache"),
    )
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", tmp_path]
    command = [sys.executable, "-m", "pip", "wheel", *options, checkout]
    subprocess.run(command, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info" not in name}
    own = {
        str(path.relative_to(checkout / "src"))
        for path in (checkout / "src" / "isobench").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for folder in ("workers", "envs"):
        own |= {
            f"isobench/{path.relative_to(checkout)}"
            for path in (checkout / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
    assert packed == own
