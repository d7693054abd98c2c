"""Starts one worker in an environment, supervises it, and returns what it wrote.

A worker is started before the host has done its own part: it imports its runtime while the host checks the
environment, hashes files and waits for the device. It begins its work when `go` hands it the request.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from isobench import paths
from isobench.errors import WorkerError
from isobench.failures import FailureKind, Phase, kind_and_cause
from isobench.supervisor import variables
from isobench.system import process
from isobench.workers import protocol

# What reads a worker's figures is imported where it is used: the worker is started sooner without it.
if TYPE_CHECKING:
    import subprocess

    from isobench.analysis.noise import Block
    from isobench.environments import Environment
    from isobench.environments.container.running import Container
    from isobench.supervisor.outputs import WorkerOutputs
    from isobench.supervisor.request import Request
    from isobench.supervisor.sampling import Ready


class Worker:
    """One worker process. A context manager: nothing of it is left running at the end, whatever happens.

    In a `container`, this process is the engine's client; the worker is not its descendant.
    """

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        run_dir: Path,
        *,
        control: int,
        events: int,
        spawned_s: float,
        container: Container | None = None,
    ) -> None:
        self._popen = popen
        self._container = container
        self._control = control
        self._events = events
        self._ending = os.pidfd_open(popen.pid)
        self._poll = select.poll()
        for descriptor in (events, self._ending):
            self._poll.register(descriptor, select.POLLIN)
        self._ended = False
        self._messages: deque[dict[str, Any]] = deque()
        self._incomplete = b""
        self._phase, self._detail = Phase.IMPORTING, ""
        self._killed_by = 0  # as the first process of a container reported
        self._timeout_s = self._deadline = 0.0
        self._oom_kills = _oom_kills()
        self.spawned_s = spawned_s
        self.run_dir = run_dir

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A client that exited normally has removed its container.
        status = process.wait(self._popen, timeout_s=0)
        process.kill_group(self._popen)
        if self._container is not None and (status is None or status < 0):
            self._container.remove()
        for descriptor in (self._control, self._events, self._ending):
            if descriptor >= 0:
                os.close(descriptor)
        self._control = self._events = self._ending = -1

    @property
    def log_file(self) -> Path:
        return self.run_dir / protocol.LOG_FILE

    def go(self, request: Request, *, timeout_s: float) -> None:
        """Hand over the request and let the worker begin; it must be done with everything `timeout_s` from now."""
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        request.write(self.run_dir)
        self._send(b"go\n")

    def ready(self, on_stage: Callable[[str], None]) -> Ready | None:
        """Sleep until the worker is warm and accepts requests for blocks; None: it has ended, or takes no requests.

        Raises:
            WorkerError: time is up.
        """
        from isobench.supervisor.sampling import Ready

        ready = self._receive("ready", on_stage)
        return None if ready is None else Ready(**ready)

    def block(self, samples: int, on_stage: Callable[[str], None]) -> Block:
        """Have the worker take one block of so many samples; sleep meanwhile.

        Raises:
            WorkerError: it crashed, reported an error, or time is up.
        """
        from isobench.analysis.noise import Block

        self._send(json.dumps({"samples": samples}).encode() + b"\n")
        block = self._receive("block", on_stage)
        if block is None:
            self.finish(on_stage)
            raise self._error("the worker exited in the middle of the measurement", kind=FailureKind.PROTOCOL)
        return Block.from_json(block)

    def end(self) -> None:
        """Request no more blocks: the worker writes its outputs and exits."""
        self._send(b'{"samples": 0}\n')

    def finish(self, on_stage: Callable[[str], None]) -> WorkerOutputs:
        """Sleep until the worker has ended, and return its `outputs.json`.

        Raises:
            WorkerError: it crashed, took too long, ran out of memory, reported an error, or wrote malformed outputs.
        """
        self._receive("", on_stage)
        status = process.wait(self._popen)
        assert status is not None
        from isobench.supervisor.outputs import WorkerOutputs

        try:
            raw = protocol.read_json(self.run_dir / protocol.OUTPUTS_FILE, protocol.OUTPUTS_SCHEMA)
            if raw.get("status") == "ok":
                return WorkerOutputs.from_json(raw)
        except FileNotFoundError:
            raise self._crash(status) from None
        except protocol.ProtocolError as error:
            raise self._error(f"the worker wrote malformed outputs: {error}", kind=FailureKind.PROTOCOL) from None
        raise self._reported(raw)

    def _send(self, line: bytes) -> None:
        # It may be dead already; `finish` reports that.
        with suppress(BrokenPipeError):
            os.write(self._control, line)

    def _receive(self, wanted: str, on_stage: Callable[[str], None]) -> Mapping[str, Any] | None:
        """Sleep until the worker sends a `wanted` message, or has ended (None); pass on its phases."""
        while True:
            while self._messages:
                message = self._messages.popleft()
                if "phase" in message:
                    with suppress(ValueError):  # not one of harness.stage's messages
                        self._phase = Phase(message["phase"])
                    self._detail = str(message.get("detail", ""))
                    on_stage(self._stage)
                elif "killed_by" in message:
                    self._killed_by = int(message["killed_by"])
                elif wanted in message:
                    received: Mapping[str, Any] = message[wanted]
                    return received
            if self._ended or not self._wait():
                return None

    def _wait(self) -> bool:
        """Sleep until the worker sends something; False when it has ended.

        Raises:
            WorkerError: time is up.
        """
        ready = self._poll.poll(max(0.0, self._deadline - time.monotonic()) * 1000)
        if not ready:
            process.kill_group(self._popen)
            raise self._error(
                f"the worker was killed after {self._timeout_s:g} s (--timeout) while {self._stage}",
                kind=FailureKind.TIMEOUT,
                hint="Allow more time with --timeout SECONDS.",
            )
        for descriptor, _ in ready:
            if descriptor == self._ending:
                self._ended = True
        received = b""
        # What it sent before it ended is still in the pipe.
        while select.select([self._events], [], [], 0)[0] and (part := os.read(self._events, 65536)):
            received += part
        if not received and not self._ended:
            self._poll.unregister(self._events)
        *lines, self._incomplete = (self._incomplete + received).split(b"\n")
        for line in lines:
            with suppress(ValueError):  # a dying worker left the line half-written
                message = json.loads(line)
                self._messages.extend([message] if isinstance(message, dict) else [])
        return not self._ended or bool(self._messages)

    def _reported(self, outputs: Mapping[str, Any]) -> WorkerError:
        """The error that the worker wrote into its outputs."""
        error = outputs.get("error")
        if not isinstance(error, dict):
            return self._error("the worker reported a failure, but no error", kind=FailureKind.PROTOCOL)
        message, traceback = str(error.get("message", "")), str(error.get("traceback", ""))
        if "kind" in error:
            kind, cause = kind_and_cause(str(error["kind"]))
            hint = str(error.get("hint", ""))
            return WorkerError(
                message, kind=kind, phase=self._phase, cause=cause, hint=hint, details=traceback, refused=True
            )
        name = str(error.get("type", "Exception"))
        what = f"the worker failed while {self._stage}: {name}: {message}".rstrip(": ")
        return self._error(what, kind=self._kind_of(name, message), cause=name, log=traceback)

    def _kind_of(self, exception: str, message: str) -> FailureKind:
        if protocol.out_of_memory(exception, message):
            return FailureKind.OUT_OF_MEMORY
        if self._phase is Phase.IMPORTING and exception in {"ImportError", "ModuleNotFoundError"}:
            return FailureKind.IMPORT_ERROR
        return FailureKind.EXCEPTION

    @property
    def _stage(self) -> str:
        """The phase and its detail, for people."""
        return f"{self._phase} ({self._detail})" if self._detail else str(self._phase)

    def _crash(self, status: int) -> WorkerError:
        if _oom_kills() > self._oom_kills:
            return self._error(
                f"out of memory: the kernel killed the worker while {self._stage}",
                kind=FailureKind.OUT_OF_MEMORY,
                hint="Use a smaller batch, or a machine (or memory limit) with more memory.",
            )
        refusal = self._container.refusal(status) if self._container else ""
        if self._container and refusal:
            return self._error(refusal, kind=FailureKind.CRASH, hint=self._container.advice)
        if self._killed_by:
            status = -self._killed_by
        how = f"exited with code {status} and no result" if status >= 0 else f"was killed by {_signal(-status)}"
        return self._error(f"the worker {how} while {self._stage}", kind=FailureKind.CRASH)

    def _error(self, message: str, *, kind: FailureKind, hint: str = "", cause: str = "", log: str = "") -> WorkerError:
        details = log or process.tail(self.log_file)
        return WorkerError(message, kind=kind, phase=self._phase, cause=cause, hint=hint, details=details)


def start(
    environment: Environment,
    script: Path,
    run_dir: Path,
    *,
    threads: int,
    heap: str = "steady",
    resources: Mapping[str, Any] | None = None,
    cwd: Path | None = None,
    reads: Sequence[Path] = (),
    writes: Sequence[Path] = (),
    gpus: bool = False,
    own_variables: Mapping[str, str] | None = None,
) -> Worker:
    """Start `script` in `environment` with `run_dir` (created here) as its run directory; it waits for `go`.

    `heap` is "steady" or "default" (the C library's own policy); `resources` is that of `Settings`; `own_variables` are
    environment variables of the user's own. In a container, the worker sees its run directory, the files and folders of
    `reads` and `writes`, GPUs if `gpus`, and nothing else.

    Raises:
        WorkerError: the interpreter can't be started.
        ProvisionError: it needs a container, and none can be run here.
    """
    run_dir.mkdir(parents=True)
    log_file = run_dir / protocol.LOG_FILE
    env = {**variables.of_worker(environment, threads=threads, heap=heap), **(own_variables or {})}
    if resources:
        env["ISOBENCH_RESOURCES"] = json.dumps(resources)
    arguments: list[str | Path] = ["-I", "-B", paths.WORKERS / "launch.py", script, run_dir]
    container = None
    if environment.image:
        from isobench.environments.container import running

        container = running.for_worker(
            environment,
            arguments,
            env=env,
            run_dir=run_dir,
            cwd=cwd,
            gpus=gpus,
            reads=[paths.WORKERS, script.parent, *reads],
            writes=writes,
        )
    spawned_s = time.perf_counter()
    control_read, control_write = os.pipe()
    events, events_write = os.pipe()
    try:
        if container:
            popen = process.spawn(
                container.argv, env=os.environ, log_file=log_file, stdin=control_read, stdout=events_write
            )
        else:
            popen = process.spawn(
                [environment.python, *arguments],
                env=env | {"ISOBENCH_EVENTS": str(events_write)},
                log_file=log_file,
                cwd=cwd,
                stdin=control_read,
                pass_fds=(events_write,),
            )
    except OSError as error:
        os.close(control_write)
        os.close(events)
        raise WorkerError(f"the interpreter can't be started: {error}", kind=FailureKind.CRASH) from None
    finally:
        os.close(control_read)
        os.close(events_write)
    return Worker(popen, run_dir, control=control_write, events=events, spawned_s=spawned_s, container=container)


def _signal(number: int) -> str:
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _oom_kills() -> int:
    """How many processes the kernel has killed because memory ran out, since it started."""
    with suppress(OSError), open("/proc/vmstat", encoding="ascii") as file:  # noqa: PTH123
        for line in file:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
