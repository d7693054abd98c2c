"""Locks between processes: they exclude, name their holder, and end with it; with flock and without."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from isobench.errors import LockError, LockHeldError
from isobench.failures import FailureKind
from isobench.system import lock_checks, locks
from isobench.system.lock_holders import Holder
from isobench.system.locks import FileLock

HOST = os.uname().nodename
HOLD = """
import sys
from pathlib import Path
from isobench.system.locks import FileLock
lock = FileLock(Path(sys.argv[1]), what="it", on_wait=lambda line: print(line, flush=True))
with lock as descriptor:
    print("held", "soft" if lock.is_soft else "flock", "filelock" in sys.modules, flush=True)
    sys.stdin.read()
"""
FILELOCK = """
import sys, filelock
with getattr(filelock, sys.argv[2])(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
# Each turn reads a number and writes the next one: a second process in between makes one of them disappear.
TURNS = """
import sys
from pathlib import Path
from isobench.system.locks import FileLock
file, count, turns = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
sys.stdin.read()
for _ in range(turns):
    with FileLock(file, what="it"):
        now = int(count.read_text())
        count.write_text("in use")
        count.write_text(str(now + 1))
"""
NO_FLOCK = """
#include <errno.h>
#include <stdlib.h>
int flock(int descriptor, int operation) { errno = atoi(getenv("NO_FLOCK_ERRNO")); return -1; }
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.lock"


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a Python process with a program and arguments; those that still run at the end are killed."""
    started = []

    def start_(program: str, *arguments: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, *map(str, arguments)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
        )
        started.append(process)
        return process

    yield start_
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def no_flock(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a process for which flock doesn't work, as on a file system that lacks it."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("no_flock")
    (folder / "no_flock.c").write_text(NO_FLOCK)
    library = folder / "no_flock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "no_flock.c"], check=True)
    return {"LD_PRELOAD": str(library), "NO_FLOCK_ERRNO": "38"}


def line(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline().strip()


def is_free(file: Path) -> bool:
    try:
        with FileLock(file, what="it", timeout_s=0):
            return True
    except LockHeldError:
        return False


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
        FileLock(file, what="it", timeout_s=0, on_wait=waits.append, failure=FailureKind.ENVIRONMENT),
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


def test_a_kept_file_is_empty_afterwards(file: Path) -> None:
    with FileLock(file, what="it", keep=True):
        assert file.read_text().startswith(f"{os.getpid()}\n{HOST}\t")
    assert file.read_text() == ""


def test_a_file_that_somebody_replaced_is_not_removed(file: Path) -> None:
    with FileLock(file, what="it"):
        file.unlink()
        file.write_text("another's")
    assert file.read_text() == "another's"


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_what_is_not_a_regular_file_is_refused(kind: str, file: Path) -> None:
    victim = file.with_name("victim")
    victim.write_text("precious")
    {"link": lambda: file.symlink_to(victim), "folder": file.mkdir, "fifo": lambda: os.mkfifo(file)}[kind]()
    with pytest.raises(LockError, match=re.escape(str(file))), FileLock(file, what="it"):
        pytest.fail("locked")
    assert victim.read_text() == "precious"


def test_a_file_in_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LockError, match="can't be opened") as caught, FileLock(tmp_path / "file" / "x.lock", what="it"):
        pytest.fail("locked")
    assert "ISOBENCH_HOME" in caught.value.hint


def test_a_folder_without_permission_is_reported(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    child = os.fork()
    if not child:
        status = 1
        try:
            os.chdir(tmp_path)
            if os.getuid() == 0:  # root may write everywhere
                os.setresuid(65534, 65534, 65534)
            with FileLock(Path("x.lock"), what="it"):
                pass
        except LockError as error:
            status = 0 if error.message == "x.lock can't be opened: Permission denied" else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_locks_work_in_a_folder_of_this_machine(tmp_path: Path) -> None:
    assert lock_checks.works(tmp_path / "new") == ""
    assert lock_checks.check(tmp_path) is lock_checks.Kind.FLOCK
    assert list(tmp_path.iterdir()) == [tmp_path / "new"]


def test_the_check_says_when_locks_are_soft(tmp_path: Path, no_flock: dict[str, str], start: Start) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom isobench.system import lock_checks\n"
        "print(lock_checks.check(Path(sys.argv[1])))"
    )
    assert line(start(code, tmp_path, env=no_flock)) == "soft"


def test_a_flock_that_excludes_nobody_is_reported(tmp_path: Path, start: Start) -> None:
    library = tmp_path / "all_free.so"
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    (tmp_path / "all_free.c").write_text("int flock(int descriptor, int operation) { return 0; }")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "all_free.c"], check=True)
    code = (
        "import sys\nfrom pathlib import Path\nfrom isobench.system import lock_checks\n"
        "print(lock_checks.works(Path(sys.argv[1])))"
    )
    said = line(start(code, tmp_path, env={"LD_PRELOAD": str(library)}))
    assert said.startswith(f"locks in {tmp_path} exclude nobody")


def test_importing_locks_imports_no_filelock(start: Start) -> None:
    assert line(start("import sys, isobench.system.locks\nprint('filelock' in sys.modules)")) == "False"
