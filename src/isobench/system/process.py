"""The only user of `subprocess`: starts other programs, waits for them without polling, and kills them reliably.

Every program gets a session and a process group of its own, so that what it starts dies with it and Ctrl-C in a
terminal reaches only isobench, which then kills the group. Output goes to a log file; no shell is involved.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

# Started in place of the program, which it then becomes: the kernel kills the program when we die, however we die. The
# parent is checked once more in case it died before the first line. (Popen's preexec_fn could do this, but not safely
# while other threads run.)
_TETHER = """
import ctypes, os, signal, sys
parent, program = int(sys.argv[1]), sys.argv[2:]
ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != parent:
    os._exit(1)
try:
    os.execv(program[0], program)
except OSError as error:
    sys.exit(f"{program[0]}: {error.strerror}")
"""

_TAIL_BYTES = 1 << 16
_LINE_CHARACTERS = 1000


def spawn(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    log_file: Path,
    cwd: Path | None = None,
    stdin: int | None = None,
    stdout: int | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program in a new session; standard output and error are appended to `log_file`, input is empty.

    `stdin` and `stdout` are file descriptors to use instead. Call `wait` and `kill_group` on the returned process.

    Raises:
        OSError: the program or the folder doesn't exist, or can't be started.
    """
    with log_file.open("ab") as log:
        return subprocess.Popen(
            [os.fspath(part) for part in argv],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=log if stdout is None else stdout,
            stderr=log,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )


def wait(process: subprocess.Popen[bytes], timeout_s: float | None = None) -> int | None:
    """Block until the program ends and return its exit status (negative: the signal), or None after `timeout_s`.

    Processes that the program left in its group are killed before the status is collected: until then its process ID
    can't be reused. The wait sleeps in the kernel; `Popen.wait(timeout=…)` would poll, during a measurement.
    """
    if process.returncode is None:
        ending = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(ending, select.POLLIN)
            if not poll.poll(None if timeout_s is None else max(0, round(timeout_s * 1000))):
                return None
        finally:
            os.close(ending)
        _signal_group(process)
    return process.wait()


def kill_group(process: subprocess.Popen[bytes]) -> int:
    """Kill a program and everything that it started, and return its exit status."""
    if process.returncode is None:
        _signal_group(process)
    return process.wait()


def kill_inheritors(variable: str, value: str, timeout_s: float = 5) -> None:
    """Kill the processes of this user that were started with an environment variable of this value, or forked by one.

    For what nobody is the parent of any more; a program that was started with another environment isn't found.
    """
    wanted = f"{variable}={value}".encode()
    deadline = time.monotonic() + timeout_s
    while (found := [pid for pid in _pids() if wanted in _environment(pid)]) and time.monotonic() < deadline:
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def _pids() -> list[int]:
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit() and int(entry.name) != os.getpid()]


def _environment(pid: int) -> list[bytes]:
    """The environment that a process was started with; empty once it has ended, or if it's another user's."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - many are read
            return file.read().split(b"\0")
    except OSError:
        return []


def _signal_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def tethered(argv: Sequence[str | Path]) -> list[str]:
    """The command line that runs `argv` (its first part an absolute path) and dies with this process."""
    python = os.path.realpath(sys.executable)
    return [python, "-I", "-S", "-c", _TETHER, str(os.getpid()), *(os.fspath(part) for part in argv)]


def run_logged(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    log_file: Path,
    cwd: Path | None = None,
    timeout_s: float | None = None,
    pass_fds: Sequence[int] = (),
) -> int:
    """Run a program (absolute path) to its end, its output appended to `log_file`; return its exit status.

    It dies with this process. It is killed, with everything that it started, after `timeout_s` and when an exception
    (Ctrl-C, too) interrupts the wait.

    Raises:
        TimeoutError: it took longer than `timeout_s`.
        OSError: it can't be started.
    """
    process = spawn(tethered(argv), env=env, log_file=log_file, cwd=cwd, pass_fds=pass_fds)
    try:
        status = wait(process, timeout_s)
    finally:
        kill_group(process)
    if status is None:
        raise TimeoutError(f"{argv[0]} was killed after {timeout_s:g} s")
    return status


def capture(
    argv: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None = None, timeout_s: float | None = 60
) -> str:
    """The standard output of a short program.

    Raises:
        OSError: it can't be started, ends with a status other than 0 (its last lines are in the message), or
            takes longer than `timeout_s` (TimeoutError).
    """
    with subprocess.Popen(
        [os.fspath(part) for part in argv],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{argv[0]} was killed after {timeout_s:g} s") from None
        finally:
            kill_group(process)
    if process.returncode:
        raise OSError(
            f"{argv[0]} failed with exit code {process.returncode}: {errors.decode(errors='replace')[-2000:]}"
        )
    return output.decode(errors="replace")


@contextmanager
def temporary_folder(log_file: Path) -> Iterator[str]:
    """A folder for a program's temporary files, beside its log; if we are killed, the next run removes it."""
    import shutil

    folder = log_file.with_suffix(".tmp")
    try:
        folder.mkdir(exist_ok=True)
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def tail(log_file: Path, lines: int = 20) -> str:
    """The last lines of a log, the beginnings of long ones; "" if it is no regular file, or can't be read.

    Reads at most 64 KiB.
    """
    try:
        with os.fdopen(os.open(log_file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as log:
            if not stat.S_ISREG(os.fstat(log.fileno()).st_mode):
                return ""
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = log.read(_TAIL_BYTES)
    except OSError:
        return ""
    return "\n".join(line[:_LINE_CHARACTERS] for line in text.decode(errors="replace").splitlines()[-lines:])
