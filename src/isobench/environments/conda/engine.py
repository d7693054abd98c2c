"""Asking rattler, in a supervised child process that speaks JSON.

rattler has crashed at the interpreter's exit, panicked, waited forever for a channel, and gone on linking after it
had raised. So the host loads nothing of it: the child performs one action, sends its answer and exits (`os._exit`).
Until then it sends signs of life; each event restarts its time limit.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from isobench.environments.conda import errors
from isobench.errors import ProvisionError, UsageError
from isobench.redaction import redact_file, redacted
from isobench.system import process

_CHILD = "isobench.environments.conda.child"
_GLANCE_S = 1.0


class EngineError(Exception):
    """The child failed: `kind` is the name of its exception, or "crash", "timeout"."""

    def __init__(self, kind: str, message: str, log_file: Path) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = redacted(message)
        self.log_file = log_file

    def as_provision_error(self, what: str, *, relock: str, spec: str, keep_log: bool = True) -> ProvisionError:
        """The error for the user: `what` failed, why, the evidence, and what to do (see `errors.explain`)."""
        why, hint = errors.explain(self.kind, self.message, relock=relock, spec=spec)
        log = f"log: {self.log_file}" if keep_log else ""
        evidence = [line for line in self.message.splitlines() if line.strip() and line.strip() not in why]
        return ProvisionError(f"{what}: {why}", hint=hint, details="\n".join([*evidence, log]).strip())


def patience_s() -> float:
    """How long the child may be silent, in seconds: no byte from a channel, no file written.

    Raises:
        UsageError: ISOBENCH_CHANNEL_TIMEOUT isn't a number of seconds.
    """
    text = os.environ.get("ISOBENCH_CHANNEL_TIMEOUT", "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise UsageError(
            f"ISOBENCH_CHANNEL_TIMEOUT must be a number of seconds, got {text!r}",
            hint="Write for instance: ISOBENCH_CHANNEL_TIMEOUT=60",
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
    """Let the child perform an action and return its answer; its output is appended to the log.

    It is killed if no event arrived for `silence_s` (default: `patience_s`), or after `limit_s` in all.

    Raises:
        EngineError: it failed, crashed, or was killed.
    """
    silence_s = silence_s or patience_s()
    events, events_write = os.pipe()
    start = log_file.stat().st_size if log_file.exists() else 0
    argv: list[str | Path] = [sys.executable, "-P", "-B", "-m", _CHILD, str(events_write)]
    try:
        with process.temporary_folder(log_file) as temporary:
            # In memory: a signal while tempfile looks for its folder would leave a file there.
            with os.fdopen(os.memfd_create("request"), "w+b") as stdin:
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
        with suppress(OSError):
            redact_file(log_file, start)


def _variables(temporary: str) -> dict[str, str]:
    """The user's own variables, with credentials and proxies for rattler, but without those that make Rust print more.

    A child that is killed, or exits by `os._exit`, leaves its temporary files behind: they get a folder of their own.
    """
    own = {name: value for name, value in os.environ.items() if name not in {"RUST_LOG", "RUST_BACKTRACE"}}
    return own | {"TMPDIR": temporary, "RUNNER_TEMP": temporary}  # conda-lock uses the second


def _write(file: IO[bytes], request: Mapping[str, Any]) -> None:
    file.write(json.dumps(request).encode())
    file.flush()
    file.seek(0)


class _Deadline:
    """When to give up: `silence_s` after the last event, and in any case `limit_s` after the start."""

    def __init__(self, silence_s: float, limit_s: float | None) -> None:
        self._silence_s = silence_s
        self._limit_s = limit_s
        self._started = self._last_event = time.monotonic()

    def restart(self) -> None:
        self._last_event = time.monotonic()

    def left_s(self) -> float:
        left_s = self._last_event + self._silence_s - time.monotonic()
        if self._limit_s is not None:
            left_s = min(left_s, self._started + self._limit_s - time.monotonic())
        return max(0.0, left_s)

    def __str__(self) -> str:
        if self._limit_s is not None and time.monotonic() >= self._started + self._limit_s:
            return f"not finished after {self._limit_s:g} s"
        return f"no progress for {self._silence_s:g} s"


def _listen(
    pipe: int,
    deadline: _Deadline,
    progress: Callable[[str], None],
    log_file: Path,
    ended: Callable[[], int | None],
) -> dict[str, Any]:
    rest = b""
    stage = "starting"
    while _ready(pipe, deadline):
        part = os.read(pipe, 1 << 16)
        if not part:
            raise EngineError("crash", _crash(ended(), stage, log_file), log_file)
        deadline.restart()
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


def _ready(pipe: int, deadline: _Deadline) -> bool:
    """Wait until the pipe has something; False: not before the deadline.

    A signal that arrives between Python's look for one and the call is seen after the call, so that one is short.
    """
    while (left_s := deadline.left_s()) > _GLANCE_S:
        if select.select([pipe], [], [], _GLANCE_S)[0]:
            return True
    return bool(select.select([pipe], [], [], left_s)[0])


def _crash(status: int | None, stage: str, log_file: Path) -> str:
    how = f"was killed by signal {-status}" if status and status < 0 else f"exited with code {status} and no answer"
    return f"rattler's process {how} while it was {stage}\n{process.tail(log_file, 10)}".strip()
