"""Checkouts, and the git that people use in them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """What `git ARGUMENTS` prints in a folder, without the variables of a git that runs these tests."""
    settings = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", *settings, *arguments]
    return subprocess.run(command, cwd=folder, env=clean, check=True, capture_output=True, text=True).stdout.strip()


def make(folder: Path, *names: str) -> Path:
    """A checkout with one commit, which holds these files, on the branch trunk."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("one\n")
    git(folder, "init", "--quiet", "--initial-branch=trunk")
    git(folder, "add", *names)
    git(folder, "commit", "--quiet", "-m", "first")
    return folder
