"""Asking rattler: in a child process of its own, which speaks JSON and is watched.

rattler was seen to crash at the interpreter's exit, to panic, to wait for ever for a channel, and to go on
linking after it had raised. So nothing of it is loaded in the host: the child does one thing, tells its answer and is
gone (`os._exit`). What it can tell besides is that it lives: each word of progress starts its time anew.
"""

from __future__ import annotations

import json
import os
import select
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from isobench.environments.conda import errors
from isobench.environments.redaction import redacted
from isobench.errors import ProvisionError, UsageError
from isobench.system import process

_CHILD = "isobench.environments.conda.child"


class EngineError(Exception):
    """What went wrong in the child: `kind` is the exception's name there, or "crash", "timeout"."""

    def __init__(self, kind: str, message: str, log_file: Path) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = redacted(message)
        self.log_file = log_file

    def explained(self, what: str, *, relock: str, spec: str, keep_log: bool = True) -> ProvisionError:
        """The error for the user: `what` failed, why, the evidence, and what to do (see `complaints.explain`)."""
        why, hint = errors.explain(self.kind, self.message, relock=relock, spec=spec)
        log = f"log: {self.log_file}" if keep_log else ""
        evidence = [line for line in self.message.splitlines() if line.strip() and line.strip() not in why]
        return ProvisionError(f"{what}: {why}", hint=hint, details="\n".join([*evidence, log]).strip())


def patience_s() -> float:
    """How long the child may be silent: no byte from a channel, no file written.

    Raises:
        UsageError: ISOBENCH_CHANNEL_TIMEOUT is no number of seconds.
    """
    text = os.environ.get("ISOBENCH_CHANNEL_TIMEOUT", "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise UsageError(
            f"ISOBENCH_CHANNEL_TIMEOUT is {text!r}: it is to be a number of seconds",
            hint="ISOBENCH_CHANNEL_TIMEOUT=60",
        )
    return seconds


def ask(
    action: str,
    request: Mapping[str, Any],
    *,
    log_file: Path,
    progress: Callable[[str], None] = lambda _text: None,
    silence_s: float | None = None,
    limit_s: float | None = None,
    pass_fds: tuple[int, ...] = (),
) -> dict[str, Any]:
    """Have the child do one thing and return its answer; what it prints goes into the log.

    It is stopped when nothing was heard of it for `silence_s` (default: `patience_s`), or after `limit_s` in all.

    Raises:
        EngineError: it failed, crashed, or was stopped.
    """
    silence_s = silence_s or patience_s()
    events, events_write = os.pipe()
    argv: list[str | Path] = [sys.executable, "-P", "-B", "-m", _CHILD, str(events_write)]
    try:
        with process.temporary_folder(log_file) as temporary:
            with tempfile.TemporaryFile() as stdin:
                _write(stdin, {"action": action, "patience_s": silence_s, **request})
                child = process.spawn(
                    process.tethered(argv),
                    env=_variables(temporary),
                    log_file=log_file,
                    stdin=stdin.fileno(),
                    pass_fds=(events_write, *pass_fds),
                    cwd=log_file.parent,
                )
            os.close(events_write)
            events_write = -1
            deadline = _Deadline(silence_s, limit_s)
            try:
                return _listen(events, deadline, progress, log_file, lambda: process.wait(child, 10))
            finally:
                process.kill_group(child)
    finally:
        os.close(events)
        if events_write >= 0:
            os.close(events_write)


def _variables(temporary: str) -> dict[str, str]:
    """The user's own environment, in which rattler finds credentials and proxies, without what Rust prints by it.

    A child that is killed, or gone by `os._exit`, leaves its temporary files where they are.
    """
    own = {name: value for name, value in os.environ.items() if name not in {"RUST_LOG", "RUST_BACKTRACE"}}
    return own | {"TMPDIR": temporary, "RUNNER_TEMP": temporary}  # conda-lock asks for the second, too


def _write(file: IO[bytes], request: Mapping[str, Any]) -> None:
    file.write(json.dumps(request).encode())
    file.flush()
    file.seek(0)


class _Deadline:
    """When to give up: so long after the last word, and in any case so long after the start."""

    def __init__(self, silence_s: float, limit_s: float | None) -> None:
        self._silence_s = silence_s
        self._limit_s = limit_s
        self._started = self._heard = time.monotonic()

    def heard(self) -> None:
        self._heard = time.monotonic()

    def left_s(self) -> float:
        left_s = self._heard + self._silence_s - time.monotonic()
        if self._limit_s is not None:
            left_s = min(left_s, self._started + self._limit_s - time.monotonic())
        return max(0.0, left_s)

    def __str__(self) -> str:
        if self._limit_s is not None and time.monotonic() >= self._started + self._limit_s:
            return f"it wasn't done after {self._limit_s:g} s"
        return f"nothing happened for {self._silence_s:g} s"


def _listen(
    pipe: int,
    deadline: _Deadline,
    progress: Callable[[str], None],
    log_file: Path,
    ended: Callable[[], int | None],
) -> dict[str, Any]:
    rest = b""
    stage = "starting"
    while select.select([pipe], [], [], deadline.left_s())[0]:
        part = os.read(pipe, 1 << 16)
        if not part:
            raise EngineError("crash", _crash(ended(), stage, log_file), log_file)
        deadline.heard()
        *lines, rest = (rest + part).split(b"\n")
        for message in map(json.loads, lines):
            if "answer" in message:
                answer: dict[str, Any] = message["answer"]
                return answer
            if "error" in message:
                raise EngineError(message["error"]["kind"], message["error"]["message"], log_file)
            if "stage" in message:
                stage = message["stage"]
                progress(stage)
    raise EngineError("timeout", f"{deadline} while it was {stage}", log_file)


def _crash(status: int | None, stage: str, log_file: Path) -> str:
    how = f"was killed by signal {-status}" if status and status < 0 else f"left with exit code {status} and no answer"
    return f"rattler's process {how} while it was {stage}\n{process.tail(log_file, 10)}".strip()
