"""Programs that start another in other surroundings: without control groups, without a privilege."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

NO_GROUPS = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh"]
"""Starts a program that finds no control groups, as a user without the right to make any."""


def works(prefix: Sequence[str]) -> bool:
    """Whether this user can start a program so."""
    return (
        shutil.which(prefix[0]) is not None
        and subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode == 0
    )
