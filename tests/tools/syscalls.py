"""Runs a program under `syscalls.c`, which logs the calls that touch files, processes and networks.

It can let one of them fail, or kill its caller before one. It is compiled on first use; `unavailable` says why it can't
be used here, and tests skip then.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
KINDS = {"changes": "c", "files": "cr", "network": "n", "files and processes": "crp", "all": "crpn"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One system call. `number` is its place among those that were counted, 0 if it wasn't.

    `kind` is "c" (changes a file), "r" (opens one for reading), "p" (a new process, a pipe) or "n" (network); `path` is
    the file, or the address; `result` is what it returned: below 0, the negative errno; None: it never returned.
    """

    is_host: bool
    number: int
    kind: str
    name: str
    path: str
    result: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """How a traced program ended: its exit status (negative: the signal), what it printed, and its calls in order."""

    returncode: int
    stdout: str
    stderr: str
    calls: list[Call]
    timed_out: bool

    @property
    def counted(self) -> int:
        """How many calls were counted."""
        return max((call.number for call in self.calls), default=0)


@functools.cache
def program() -> Path:
    """The compiled program.

    Raises:
        RuntimeError: it can't be compiled for this machine.
    """
    if platform.machine() != "x86_64" or not shutil.which("cc"):
        raise RuntimeError("the tracer needs x86-64 and a C compiler")
    source = SOURCE.read_bytes()
    target = Path(tempfile.gettempdir(), f"isobench-syscalls-{os.getuid()}-{hashlib.sha256(source).hexdigest()[:16]}")
    if not target.exists():
        made = target.with_name(f"{target.name}.{os.getpid()}")
        subprocess.run(["cc", "-O1", "-o", made, SOURCE], check=True, capture_output=True)
        made.replace(target)
    return target


@functools.cache
def unavailable() -> str:
    """Why nothing can be traced here; "" where it can."""
    try:
        traced = trace(["/bin/true"])
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        return str(error)
    return "" if traced.returncode == 0 and traced.calls else "ptrace isn't allowed here"


def trace(
    argv: Sequence[str | Path],
    *,
    only: str = "files",
    fail: tuple[int, int] | None = None,
    kill: int | None = None,
    everybody: bool = False,
    after: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 60,
) -> Traced:
    """Run a program to its end, and return what it and its children called.

    Calls of the kinds `only` (a key of KINDS) are logged, and those of the program itself counted (`everybody`: of its
    children, too), beginning with the first whose path contains `after`. `fail=(n, errno)` lets the n-th counted call
    fail instead of running; `kill=n` kills its caller before it. What outlives the program is killed after 10 s, and
    everything at `timeout_s`.
    """
    number, action = (kill, "kill") if kill else fail or (0, 0)
    with tempfile.TemporaryDirectory(prefix="isobench-trace-") as folder:
        file = Path(folder, "calls")
        command = [program(), file, KINDS[only], "all" if everybody else "host", after, str(number), str(action), "--"]
        process = subprocess.Popen(
            [*command, *argv],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        timed_out = False
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            timed_out = True
            process.kill()  # and with it, whatever it traces
            stdout, stderr = process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        lines = file.read_text(errors="replace").splitlines()
    if process.returncode == 125:
        raise RuntimeError(stderr.decode(errors="replace"))
    ends = [int(line.split("\t")[1]) for line in lines if line.startswith("end\t")]
    return Traced(
        returncode=ends[-1] if ends else -signal.SIGKILL,
        stdout=stdout.decode(errors="replace"),
        stderr=stderr.decode(errors="replace"),
        calls=[_call(line) for line in lines if line.count("\t") == 6],
        timed_out=timed_out,
    )


def _call(line: str) -> Call:
    _, whose, number, kind, name, path, result = line.split("\t")
    return Call(
        is_host=whose == "host",
        number=int(number),
        kind=kind,
        name=name,
        path=path,
        result=None if result == "killed" else int(result),
    )
