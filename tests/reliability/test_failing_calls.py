"""One system call of the host fails, as it may on any machine: one case fails at most, and the other is measured.

The calls are those that open, change or make files and processes, from the first that reads a model. A few are tried;
ISOBENCH_TRIALS=all tries each.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import syscalls
from two_cases import TIMEOUT_S, Call, TwoCases

from isobench.environments import Environment

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(syscalls.unavailable()), reason=syscalls.unavailable()),
]

ALL = os.environ.get("ISOBENCH_TRIALS") == "all"
SEED = int(os.environ.get("ISOBENCH_TRIALS_SEED", "0"))
MOST_CALLS = 1200
"""More than there are: each gets a test before they are known."""
FEW = 10
OPENS = (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES)
CHANGES = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS)
PROCESSES = (errno.EAGAIN, errno.ENOMEM)
DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


def errors_of(call: syscalls.Call) -> Sequence[int]:
    """How this call may fail."""
    if call.kind == "p":
        return PROCESSES if "fork" in call.name or "clone" in call.name else DESCRIPTORS
    return OPENS if call.kind == "r" else CHANGES


def traced(world: TwoCases, fail: tuple[int, int] | None = None) -> syscalls.Traced:
    return syscalls.trace(
        world.argv,
        only="files and processes",
        after=str(world.models[0]),
        fail=fail,
        env=world.env,
        cwd=world.folder,
        timeout_s=TIMEOUT_S,
    )


@pytest.fixture(scope="module")
def stored(provisioned: Callable[[str], Environment]) -> Path:
    """The folder of the environments."""
    return provisioned("ort").folder.parent


@pytest.fixture(scope="module")
def calls(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> list[syscalls.Call]:
    """The calls to try: all, or without most of those that list the folders of an environment."""
    world = TwoCases(tmp_path_factory.mktemp("calls"), stored)
    world.link_environments()
    found = traced(world)
    assert found.returncode == 0, found.stderr
    counted = [call for call in found.calls if call.number]
    assert len(counted) <= MOST_CALLS, "the others would never be tried"
    return counted if ALL else [call for call in counted if "site-packages" not in call.path]


@pytest.mark.parametrize("number", range(MOST_CALLS if ALL else FEW))
def test_a_call_that_fails_costs_one_case_at_most(
    number: int, calls: list[syscalls.Call], stored: Path, tmp_path: Path
) -> None:
    if ALL and number >= len(calls):
        pytest.skip("there are fewer calls")
    place = number if ALL else (number * len(calls) // FEW + SEED) % len(calls)
    failing = calls[place]
    errors = errors_of(failing)
    world = TwoCases(tmp_path, stored)
    world.link_environments()
    error = errors[(failing.number + SEED) % len(errors)]
    found = traced(world, (failing.number, error))
    call = Call(code=found.returncode, stdout=found.stdout, stderr=found.stderr, timed_out=found.timed_out)
    problems = world.problems(call)
    problems += [] if call.measured or call.was_refused else ["neither case is measured"]
    what = f"{failing.name} {failing.path}: {os.strerror(error)}"
    assert not problems, f"{what}: {'; '.join(problems)}\n{call.stdout}\n{call.stderr}"
