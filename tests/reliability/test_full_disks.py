"""The disk is full from some point on: in a build, in a worker, while a result is saved.

A file system in memory is the home, limited to so many bytes or files. A few limits are tried; ISOBENCH_TRIALS=all
tries each. What was measured is printed, saved or not; what couldn't be is a failure of the kind `disk-full`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from two_cases import TwoCases

from isobench.environments import Environment

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system"),
]

STEP = 1 if os.environ.get("ISOBENCH_TRIALS") == "all" else 6
SIZES = [f"size={4 * pages}k" for pages in range(4, 44, STEP)]
FILES = [f"nr_inodes={files}" for files in range(4, 44, STEP)]
"""The call needs some 120 KiB and 38 files."""


@pytest.fixture
def world(tmp_path: Path, provisioned: Callable[[str], Environment]) -> TwoCases:
    return TwoCases(tmp_path, provisioned("ort").folder.parent)


@pytest.fixture
def mount(world: TwoCases) -> Iterator[Callable[[str], None]]:
    """Makes the home a file system of its own."""

    def mounted(limit: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", limit, "tmpfs", str(world.home)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr}")
        world.link_environments()

    world.home.mkdir()
    yield mounted
    subprocess.run(["umount", "--lazy", world.home], capture_output=True, check=False)


@pytest.mark.parametrize("limit", [*SIZES, *FILES])
def test_what_was_measured_is_printed_however_full_the_disk_is(
    limit: str, world: TwoCases, mount: Callable[[str], None]
) -> None:
    mount(limit)
    call = world.run()
    problems = world.problems(call)
    problems += [f"it ended as {kind}" for kind in call.failed if kind != "disk-full"]
    assert not problems, f"{limit}: {'; '.join(problems)}\n{call.stdout}\n{call.stderr}"


def test_with_enough_space_both_are_measured_and_saved(world: TwoCases, mount: Callable[[str], None]) -> None:
    mount("size=1m")
    call = world.run()
    assert (call.code, call.measured, call.unsaved) == (0, 2, 0), call.stderr
    assert not world.problems(call)
