"""isobench.system.process: programs are started, waited for without spinning, and ended with all that they started."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from isobench.system import process

ENV = {"PATH": "/usr/bin:/bin"}


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)


def read_pid(file: Path) -> int:
    wait_until(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(file.read_text())


def test_what_a_program_prints_is_appended_to_the_log_and_its_status_returned(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    status = process.run_logged(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], env=ENV, log_file=log)
    assert status == 3
    assert log.read_text() == "before\nout\nerr\n"


def test_a_program_ended_by_a_signal_has_a_negative_status(tmp_path: Path) -> None:
    assert process.run_logged(["/bin/sh", "-c", "kill -SEGV $$"], env=ENV, log_file=tmp_path / "log") == -signal.SIGSEGV


def test_a_program_gets_the_given_variables_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    log = tmp_path / "log"
    process.run_logged(["/usr/bin/env"], env={"ONLY": "this"}, log_file=log)
    assert "ONLY=this" in log.read_text()
    assert "SECRET_TOKEN" not in log.read_text()


def test_a_program_that_does_not_exist_is_reported_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert process.run_logged(["/no/such/program"], env=ENV, log_file=log) == 1
    assert "/no/such/program: No such file or directory" in log.read_text()


def test_a_program_that_takes_too_long_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    argv = ["/bin/sh", "-c", f"sleep 60 & echo $! > {pid_file}; wait"]
    with pytest.raises(TimeoutError, match=r"killed after 0\.5 s"):
        process.run_logged(argv, env=ENV, log_file=tmp_path / "log", timeout_s=0.5)
    wait_until(lambda: not is_alive(read_pid(pid_file)))


def test_what_a_program_leaves_running_is_ended_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = process.spawn(
        ["/bin/sh", "-c", f"sleep 60 & echo $! > {pid_file}; exit 7"], env=ENV, log_file=tmp_path / "log"
    )
    assert process.wait(child, 5) == 7
    wait_until(lambda: not is_alive(read_pid(pid_file)))


def test_waiting_ends_when_time_is_up_and_can_go_on(tmp_path: Path) -> None:
    go = tmp_path / "go"
    child = process.spawn(
        ["/bin/sh", "-c", f"until [ -e {go} ]; do sleep 0.02; done"], env=ENV, log_file=tmp_path / "log"
    )
    start = time.monotonic()
    assert process.wait(child, 0.1) is None
    assert time.monotonic() - start > 0.09
    go.touch()
    assert process.wait(child) == 0
    assert process.wait(child) == 0


def test_waiting_costs_no_processor_time(tmp_path: Path) -> None:
    child = process.spawn(["/bin/sleep", "0.6"], env=ENV, log_file=tmp_path / "log")
    before = resource.getrusage(resource.RUSAGE_SELF)
    process.wait(child, 30)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_nvcsw - before.ru_nvcsw < 10  # Popen.wait(timeout=30) would wake up 20 times and more


def test_kill_group_ends_a_program_that_ignores_sigterm(tmp_path: Path) -> None:
    ready = tmp_path / "pid"
    child = process.spawn(
        ["/bin/sh", "-c", f"trap '' TERM; echo $$ > {ready}; sleep 60; sleep 60"], env=ENV, log_file=tmp_path / "log"
    )
    read_pid(ready)
    assert process.kill_group(child) == -signal.SIGKILL
    assert process.kill_group(child) == -signal.SIGKILL


def test_a_descriptor_is_handed_on_where_asked_for(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    argv = ["/bin/sh", "-c", f"echo hello > /dev/fd/{writer}"]
    child = process.spawn(argv, env=ENV, log_file=tmp_path / "log", pass_fds=[writer])
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == b"hello\n"
    assert process.wait(child, 5) == 0


def test_a_program_dies_with_a_host_that_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "from isobench.system import process; from pathlib import Path; import os\n"
        f"process.run_logged(['/bin/sh', '-c', 'echo $$ > {pid_file}; sleep 60; sleep 60'], env=dict(os.environ),"
        f" log_file=Path({str(tmp_path / 'log')!r}))"
    )
    host = subprocess.Popen([sys.executable, "-c", code])
    try:
        pid = read_pid(pid_file)
        assert is_alive(pid)
    finally:
        host.kill()
        host.wait()
    wait_until(lambda: not is_alive(pid))


def test_an_interrupted_host_ends_the_program(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "from isobench.system import process; from pathlib import Path; import os\n"
        f"process.run_logged(['/bin/sh', '-c', 'echo $$ > {pid_file}; sleep 60; sleep 60'], env=dict(os.environ),"
        f" log_file=Path({str(tmp_path / 'log')!r}))"
    )
    host = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    pid = read_pid(pid_file)
    host.send_signal(signal.SIGINT)
    _, complaint = host.communicate(timeout=10)
    assert b"KeyboardInterrupt" in complaint
    assert not is_alive(pid)


def test_capture_returns_what_is_printed() -> None:
    assert process.capture(["/bin/echo", "hello"], env=ENV) == "hello\n"


def test_capture_raises_with_the_errors_of_a_failing_program() -> None:
    with pytest.raises(OSError, match="failed with exit code 4: no luck"):
        process.capture(["/bin/sh", "-c", "echo no luck >&2; exit 4"], env=ENV)


def test_capture_gives_up_in_time() -> None:
    with pytest.raises(TimeoutError):
        process.capture(["/bin/sleep", "60"], env=ENV, timeout_s=0.1)


def test_the_tail_of_a_huge_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(200_000)))
    assert process.tail(log, 2) == "line 199998\nline 199999"


def test_a_log_that_is_not_there_has_no_tail(tmp_path: Path) -> None:
    assert process.tail(tmp_path / "nothing") == ""


def test_what_is_no_regular_file_has_no_tail_and_never_blocks(tmp_path: Path) -> None:
    pipe, link, folder = (tmp_path / name for name in ("pipe", "link", "folder"))
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    folder.mkdir()
    assert [process.tail(place) for place in (pipe, link, folder, tmp_path / "folder" / "x" / "y")] == [""] * 4
