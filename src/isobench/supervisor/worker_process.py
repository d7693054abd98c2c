"""Starts one worker in an environment, supervises it, and returns what it wrote.

A worker is started before the host has done its own part: it imports its runtime while the host checks the
environment, hashes files and waits for the device. It begins its work when `go` hands it the request.
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from isobench import paths
from isobench.errors import WorkerError
from isobench.failures import Ending, Phase
from isobench.supervisor import endings, tree, variables
from isobench.supervisor.limits import TimeLimits, milliseconds
from isobench.supervisor.messages import Messages
from isobench.supervisor.worker_log import MOST_RUNNING_BYTES, WorkerLog, looks_every_s
from isobench.system import process
from isobench.workers import protocol

# What reads a worker's figures is imported where it is used: the worker is started sooner without it.
if TYPE_CHECKING:
    from isobench.analysis.noise import Block
    from isobench.environments import Environment
    from isobench.supervisor.outputs import WorkerOutputs
    from isobench.supervisor.request import Request
    from isobench.supervisor.sampling import Ready
    from isobench.supervisor.tree import Tree

_MOST_DETAIL = 200
"""Characters of a phase's detail that are shown."""


class Worker:
    """One worker process. A context manager: nothing of it is left running at the end, whatever happens."""

    def __init__(self, tree: Tree, run_dir: Path) -> None:
        self._tree = tree
        self._poll = select.poll()
        for descriptor in (tree.events, tree.ending):
            self._poll.register(descriptor, select.POLLIN)
        self._ended = False
        self._messages = Messages(tree.events)
        self._log: WorkerLog | None = WorkerLog(run_dir / protocol.LOG_FILE)
        self._doing = endings.Doing()
        self._status: int | None = None  # the worker's, as its keeper reported it
        self._pid = tree.popen.pid
        self._oom_kills = 0  # in its container
        self._outputs: Mapping[str, Any] = {}  # that couldn't be written to a file
        self._limits = TimeLimits()
        self.spawned_s = tree.spawned_s
        self.run_dir = run_dir

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tree.close()
        if self._log is not None:
            self._log.close()
            self._log = None

    @property
    def log_file(self) -> Path:
        return self.run_dir / protocol.LOG_FILE

    def go(self, request: Request, *, timeout_s: float, phase_timeouts_s: Mapping[str, float] | None = None) -> None:
        """Hand over the request and let the worker begin.

        From now on, the host waits for it no longer than `timeout_s` in all, and `phase_timeouts_s` in single phases.

        Raises:
            WorkerError: it has removed or replaced its run directory.
            OSError: the request can't be written, for another reason.
        """
        self._limits = TimeLimits(timeout_s, phase_timeouts_s)
        try:
            request.write(self.run_dir)
        except OSError as error:
            if not endings.of_worker(error):
                raise
            raise self._protocol(f"its run directory can't be written to: {error.strerror}") from None
        self._send(b"go\n")

    def ready(self, on_stage: Callable[[str], None]) -> Ready | None:
        """Sleep until the worker is warm and accepts requests for blocks; None: it has ended, or takes no requests.

        Raises:
            WorkerError: its message is malformed, or time is up.
        """
        from isobench.supervisor.sampling import Ready

        found: Ready | None = self._expect("ready", Ready, on_stage)
        return found

    def block(self, samples: int, on_stage: Callable[[str], None]) -> Block:
        """Have the worker take one block of so many samples; sleep meanwhile.

        Raises:
            WorkerError: it crashed, reported an error, sent a malformed message, or time is up.
        """
        from isobench.analysis.noise import Block

        self._send(json.dumps({"samples": samples}).encode() + b"\n")
        block: Block | None = self._expect("block", Block, on_stage)
        if block is None:
            self.finish(on_stage)
            raise self._error("the worker exited in the middle of the measurement", kind=Ending.PROTOCOL)
        if block.samples != samples:
            raise self._protocol(f"{samples} samples were requested, and its block has {block.samples}")
        return block

    def end(self) -> None:
        """Request no more blocks: the worker writes its outputs and exits."""
        self._send(b'{"samples": 0}\n')

    def finish(self, on_stage: Callable[[str], None]) -> WorkerOutputs:
        """Sleep until the worker has ended, and return its `outputs.json`.

        Raises:
            WorkerError: it crashed, took too long, ran out of memory, reported an error, or wrote malformed outputs.
        """
        self._receive("", on_stage)
        status = process.wait(self._tree.popen)
        assert status is not None
        status = status if self._status is None else self._status
        from isobench.supervisor.outputs import WorkerOutputs

        try:
            for file in (*map(self.run_dir.joinpath, protocol.WRITTEN), *self.run_dir.glob("outputs-*.msgpack")):
                if file.is_symlink():
                    raise protocol.ProtocolError(f"{file.name} must be a regular file, got a link")
            raw = self._outputs or protocol.read_json(self.run_dir / protocol.OUTPUTS_FILE, protocol.OUTPUTS_SCHEMA)
            if raw.get("status") == "ok":
                return WorkerOutputs.from_json(raw, crash=endings.how(status) if status else "")
        except FileNotFoundError:
            raise self._crash(status) from None
        except (OSError, protocol.ProtocolError) as error:
            if not endings.of_worker(error):
                raise
            problem = endings.of_file(error, self.run_dir)
            raise self._error(f"the worker wrote malformed outputs: {problem}", kind=Ending.PROTOCOL) from None
        raise endings.reported(raw, self._doing, self.log_file)

    def _send(self, line: bytes) -> None:
        # It may be dead already; `finish` reports that.
        with suppress(OSError):
            try:
                os.write(self._tree.control, line)
            except BlockingIOError:
                raise self._protocol("it doesn't read the requests that it answers") from None

    def _expect(self, wanted: str, kind: type[Any], on_stage: Callable[[str], None]) -> Any:
        """The record of the next `wanted` message; None: the worker has ended."""
        from isobench.codec import decode

        message = self._receive(wanted, on_stage)
        try:
            return None if message is None else decode(kind, message[wanted], wanted, is_open=True)
        except ValueError as error:
            raise self._protocol(f"a message of it is malformed: {error}") from None

    def _protocol(self, problem: str) -> WorkerError:
        """The error of a worker that doesn't keep to the protocol; it is killed."""
        self._tree.stop()
        return self._error(f"the worker was killed while {self._doing.text}: {problem}", kind=Ending.PROTOCOL)

    def _receive(self, wanted: str, on_stage: Callable[[str], None]) -> Mapping[str, Any] | None:
        """Sleep until the worker sends a `wanted` message ("": none), or has ended (None); pass on its phases."""
        with self._limits.waiting():
            return self._received(wanted, on_stage)

    def _received(self, wanted: str, on_stage: Callable[[str], None]) -> Mapping[str, Any] | None:
        while True:
            while (message := self._messages.next()) is not None:
                if "phase" in message:
                    self._note(message)
                    on_stage(self._doing.text)
                elif "outputs" in message:
                    self._outputs = message["outputs"] if isinstance(message["outputs"], dict) else {}
                elif "ended" in message:
                    self._note_end(message["ended"])
                elif wanted and wanted in message:
                    return message
            if not self._wait():
                return None

    def _note(self, message: Mapping[str, Any]) -> None:
        """Note what the worker says that it is doing."""
        phase = self._doing.phase
        with suppress(ValueError):  # not one of harness.stage's messages
            phase = Phase(message["phase"])
        self._limits.enter(phase)
        self._doing = endings.Doing(phase=phase, detail=str(message.get("detail", ""))[:_MOST_DETAIL])

    def _note_end(self, ended: Any) -> None:
        """Note what the keeper reports; a worker could send anything in its place."""
        with suppress(AttributeError, KeyError, TypeError, ValueError, OverflowError):
            self._status = int(ended["status"])
            self._pid = int(ended.get("pid", self._pid))
            self._oom_kills = int(ended.get("oom_kills", 0))

    def oom_evidence(self) -> str:
        """What shows that the kernel killed this worker because memory ran out, as a sentence; "": nothing does."""
        return self._tree.oom_evidence(self._pid, self._oom_kills)

    def _wait(self) -> bool:
        """Sleep until the worker sends something; False when it has ended, and all that it sent is received.

        Raises:
            WorkerError: time is up, or it sent what can't be a message.
        """
        if self._ended:
            return False
        sleep_s = min(self._limits.left_s(), looks_every_s(self._doing.phase))
        ready = {descriptor for descriptor, _ in self._poll.poll(milliseconds(sleep_s))}
        if self._log is not None:
            self._log.cut(MOST_RUNNING_BYTES)
        if self._limits.left_s() <= 0:
            limit = self._limits.exceeded()
            self._tree.stop()
            raise self._error(
                f"the worker was killed after {limit.limit_s:g} s ({limit.option}) while {self._doing.text}",
                kind=Ending.TIMEOUT,
                hint=limit.hint,
            )
        if self._tree.ending in ready:
            self._ended = True
            # What it sent before it ended is still in the pipe: one part, if its children don't go on.
            ready = {descriptor for descriptor, _ in self._poll.poll(0)}
        if self._tree.events in ready:
            try:
                if not self._messages.receive():
                    self._poll.unregister(self._tree.events)
            except protocol.ProtocolError as error:
                raise self._protocol(str(error)) from None
        return True

    def _crash(self, status: int) -> WorkerError:
        container = self._tree.container
        if container and self._status is None and (refusal := container.refusal(status)):
            return self._error(refusal, kind=Ending.CRASH, hint=container.advice)
        if not self.run_dir.is_dir():
            return self._error("the worker removed the folder for its outputs", kind=Ending.PROTOCOL)
        return endings.crash(status, self._doing, self.log_file, out_of_memory=self.oom_evidence())

    def _error(self, message: str, *, kind: Ending, hint: str = "") -> WorkerError:
        return endings.failed(message, doing=self._doing, log_file=self.log_file, kind=kind, hint=hint)


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
    network: bool = True,
    own_variables: Mapping[str, str] | None = None,
) -> Worker:
    """Start `script` in `environment` with `run_dir` (created here) as its run directory; it waits for `go`.

    `heap` is "steady" or "default" (the C library's own policy); `resources` is that of `Settings`; without `network`,
    it is taken away where the kernel allows it; `own_variables` are environment variables of the user's own. In a
    container, the worker sees its run directory, the files and folders of `reads` and `writes`, GPUs if `gpus`, and
    nothing else.

    Raises:
        WorkerError: the interpreter can't be started.
        ProvisionError: it needs a container, and none can be run here.
    """
    run_dir.mkdir(mode=0o700, parents=True)  # a request may hold secrets
    env = {**variables.of_worker(environment, threads=threads, heap=heap), **(own_variables or {})}
    if resources:
        env["ISOBENCH_RESOURCES"] = json.dumps(resources)
    if not network:
        env["ISOBENCH_NETWORK"] = "loopback"
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
    argv = container.argv if container else (environment.python, *arguments)
    try:
        started = tree.spawn(argv, env=env, run_dir=run_dir, cwd=cwd, resources=resources or {}, container=container)
        try:
            return Worker(started, run_dir)
        except OSError:
            started.close()
            raise
    except OSError as error:
        raise WorkerError(f"the interpreter can't be started: {error}", kind=Ending.CRASH) from None
