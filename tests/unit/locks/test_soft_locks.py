"""Locks where flock doesn't work: soft ones, beside those of filelock and those of flock."""

from __future__ import annotations

import errno
import os
import re
import time
from pathlib import Path

import pytest
from lock_world import FILELOCK, HOLD, Start, line

from isobench.errors import LockHeldError
from isobench.system import locks
from isobench.system.locks import FileLock


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_where_flock_does_not_work_the_lock_is_soft(
    number: int, start: Start, file: Path, no_flock: dict[str, str]
) -> None:
    first = start(HOLD, file, env={**no_flock, "NO_FLOCK_ERRNO": str(number)})
    assert line(first) == "held soft True"
    with pytest.raises(LockHeldError, match=rf"pid {first.pid} "), FileLock(file, what="it", timeout_s=0):
        pytest.fail("held twice")
    first.communicate()
    assert not file.exists()


def test_soft_locks_and_plain_filelock_wait_for_each_other(start: Start, file: Path, no_flock: dict[str, str]) -> None:
    first = start(HOLD, file, env=no_flock)
    line(first)
    theirs = start(FILELOCK, file, "SoftFileLock")
    time.sleep(0.4)
    assert theirs.poll() is None
    first.communicate()
    assert line(theirs) == "held"
    second = start(HOLD, file, env=no_flock)
    assert re.fullmatch(rf"it is in use by pid {theirs.pid} \(\S+\) since \d\d:\d\d; waiting", line(second))
    theirs.communicate()
    assert line(second) == "held soft True"


def test_a_soft_lock_of_a_dead_process_is_taken_over(start: Start, file: Path, no_flock: dict[str, str]) -> None:
    first = start(HOLD, file, env=no_flock)
    line(first)
    first.kill()
    first.wait()
    assert file.exists()
    second = start(HOLD, file, env=no_flock)
    assert line(second) == "held soft True"
    assert locks.holder(file).pid == second.pid
    second.kill()
    second.wait()
    assert locks.holder(file) is None


def test_a_soft_lock_of_another_host_is_never_broken(start: Start, file: Path, no_flock: dict[str, str]) -> None:
    file.write_text("2147483646\nnode7\n")
    os.utime(file, (0, 0))
    second = start(HOLD, file, env=no_flock)
    said = line(second)
    assert said.startswith("it is in use by pid 2147483646 on node7 (")
    assert said.endswith(f"; waiting. If that process has ended, remove {file}")
    assert locks.holder(file).host == "node7"
    with pytest.raises(LockHeldError, match="on node7") as caught, FileLock(file, what="it", timeout_s=0.1):
        pytest.fail("broken")
    assert caught.value.hint == f"If that process has ended, remove {file}"
    file.unlink()
    assert line(second) == "held soft True"


def test_a_soft_lock_and_a_hard_one_exclude_each_other(start: Start, file: Path, no_flock: dict[str, str]) -> None:
    """Flock may work on one node and not on another."""
    hard = start(HOLD, file)
    line(hard)
    os.utime(file, (0, 0))  # filelock breaks what it can't read after two seconds
    soft = start(HOLD, file, env=no_flock)
    assert f"pid {hard.pid} " in line(soft)
    time.sleep(1.2)
    assert locks.holder(file).pid == hard.pid
    hard.communicate()
    assert line(soft) == "held soft True"
    again = start(HOLD, file)
    assert f"pid {soft.pid} " in line(again)
    soft.communicate()
    assert line(again).startswith("held")


def test_what_a_killed_holder_left_where_flock_does_not_work_any_more_can_be_removed(
    start: Start, file: Path, no_flock: dict[str, str]
) -> None:
    hard = start(HOLD, file)
    line(hard)
    hard.kill()
    hard.wait()
    soft = start(HOLD, file, env=no_flock)
    said = line(soft)
    assert said.startswith(f"it is in use by pid {hard.pid} ")
    assert said.endswith(f"; waiting. If that process has ended, remove {file}")
    file.unlink()
    assert line(soft) == "held soft True"
