"""Locks between processes: they exclude, name their holder, and end with it."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from lock_world import FILELOCK, HOLD, HOST, TURNS, Start, is_free, line

from isobench.errors import LockHeldError
from isobench.failures import Ending
from isobench.system import locks
from isobench.system.lock_holders import Holder
from isobench.system.locks import FileLock


def test_a_free_lock_is_taken_without_filelock_and_its_file_is_removed(start: Start, file: Path) -> None:
    process = start(HOLD, file)
    assert line(process) == "held flock False"
    process.communicate()
    assert not file.exists()


def test_who_waits_is_shown_once_who_holds_it(start: Start, file: Path) -> None:
    first = start(HOLD, file)
    assert line(first) == "held flock False"
    second = start(HOLD, file)
    assert re.fullmatch(rf"it is in use by pid {first.pid} \(\S+, -c\) since \d\d:\d\d; waiting", line(second))
    first.communicate()
    assert line(second) == "held flock False", "sleeping in the kernel needs no filelock"
    second.communicate()
    assert not file.exists()


def test_plain_filelock_waits_for_us_and_we_for_it(start: Start, file: Path) -> None:
    ours = start(HOLD, file)
    line(ours)
    theirs = start(FILELOCK, file, "FileLock")
    time.sleep(0.5)
    assert theirs.poll() is None
    ours.communicate()
    assert line(theirs) == "held", "although we removed the file that it had opened"
    assert not is_free(file)
    theirs.communicate()
    assert is_free(file)


def test_a_killed_holder_leaves_it_free(start: Start, file: Path) -> None:
    process = start(HOLD, file)
    line(process)
    assert locks.holder(file).pid == process.pid
    process.kill()
    process.wait()
    assert file.exists()
    assert locks.holder(file) is None
    assert is_free(file)


def test_the_lock_outlives_its_holder_while_a_child_works_under_it(start: Start, file: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = (
        "import os, subprocess, sys\nfrom pathlib import Path\nfrom isobench.system.locks import FileLock\n"
        "with FileLock(Path(sys.argv[1]), what='it') as lock:\n"
        f"    subprocess.Popen(['/bin/sh', '-c', 'until [ -e {go} ]; do sleep 0.02; done'], pass_fds=[lock])\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    process = start(code, file)
    assert process.wait() == -signal.SIGKILL
    assert locks.holder(file).pid == process.pid
    with FileLock(file, what="it", on_wait=lambda _: go.touch()):
        assert go.exists(), "it was waited for until the child had ended"


def test_the_holder_is_described(start: Start, file: Path) -> None:
    assert locks.holder(file) is None
    process = start(HOLD, file)
    line(process)
    holder = locks.holder(file)
    assert (holder.pid, holder.host, holder.command) == (process.pid, HOST, "-c")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", holder.since)
    process.communicate()
    assert locks.holder(file) is None


def test_words_leave_out_what_goes_without_saying() -> None:
    today = time.strftime("%Y-%m-%d ")
    here = Holder(pid=12, host=HOST, user="ana", since=f"{today}14:03", command="isobench")
    assert here.in_words == "pid 12 (ana, isobench) since 14:03"
    there = Holder(pid=12, host="node7", since="2026-01-02 14:03")
    assert there.in_words == "pid 12 on node7 since 2026-01-02 14:03"
    assert Holder().in_words == "another process"


def test_without_waiting_the_holder_is_in_the_error(start: Start, file: Path) -> None:
    process = start(HOLD, file)
    line(process)
    waits: list[str] = []
    with (
        pytest.raises(LockHeldError, match=rf"^it is not free: in use by pid {process.pid} ") as caught,
        FileLock(file, what="it", timeout_s=0, on_wait=waits.append, failure=Ending.ENVIRONMENT),
    ):
        pytest.fail("held twice")
    assert waits == []
    assert caught.value.exit_code == 4


def test_waiting_ends_when_the_time_is_up(start: Start, file: Path) -> None:
    line(start(HOLD, file))
    waits: list[str] = []
    with (
        pytest.raises(LockHeldError, match=r"^it was not free within 0\.3 s: in use by pid"),
        FileLock(file, what="it", timeout_s=0.3, on_wait=waits.append),
    ):
        pytest.fail("held twice")
    assert len(waits) == 1


def test_ctrl_c_ends_the_wait_at_once(start: Start, file: Path, no_flock: dict[str, str]) -> None:
    for number, env in enumerate(({}, no_flock)):
        place = file.with_suffix(f".{number}")
        line(start(HOLD, place, env=env))
        second = start(
            f"import sys\ntry:\n    exec({HOLD!r})\nexcept KeyboardInterrupt:\n    sys.exit(77)", place, env=env
        )
        assert "waiting" in line(second)
        time.sleep(0.2)
        second.send_signal(signal.SIGINT)
        assert second.wait(5) == 77
        assert not is_free(place)


@pytest.mark.parametrize("soft", [False, True])
def test_eight_processes_take_turns(soft: bool, start: Start, file: Path, no_flock: dict[str, str]) -> None:
    count = file.with_name("count")
    count.write_text("0")
    # A soft lock's waiters look once a second, so they have one turn each.
    turns, number = (1, 3) if soft else (25, 8)
    processes = [start(TURNS, file, count, turns, env=no_flock if soft else None) for _ in range(number)]
    for process in processes:
        process.stdin.close()
        process.stdin = None
    assert [process.wait(30) for process in processes] == [0] * number
    assert count.read_text() == str(turns * number)
    assert not file.exists()


def test_fifty_processes_never_lock_a_file_that_is_gone(file: Path) -> None:
    count = file.with_name("count")
    count.write_text("0")
    children = []
    for _ in range(50):
        child = os.fork()
        if not child:
            with suppress(BaseException):
                for _ in range(6):
                    with FileLock(file, what="it"):
                        now = int(count.read_text())
                        count.write_text("in use")
                        count.write_text(str(now + 1))
                os._exit(0)
            os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 50
    assert count.read_text() == "300"
    assert not file.exists()


def test_importing_locks_imports_no_filelock(start: Start) -> None:
    assert line(start("import sys, isobench.system.locks\nprint('filelock' in sys.modules)")) == "False"
