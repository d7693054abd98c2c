"""Does jobs in child processes (`maker`), several at a time. Nothing is being measured meanwhile.

One thread supervises all of them. They die with this process, whatever ends it, and what they have started with them.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isobench.errors import IsobenchError, unexpected
from isobench.executors import jobs
from isobench.executors.jobs import EnvironmentJob, Job, Made
from isobench.failures import Ending
from isobench.system import devices, process

if TYPE_CHECKING:
    from isobench.console import Progress

_CHILD = "isobench.executors.maker"
BUILD_BYTES = 3 << 30
"""Memory that must be free for each build beside another one."""
ENVIRONMENTS_AT_ONCE = 4
"""An installation waits for the network and the disk more than for a CPU."""

MOST_LINE_BYTES = 64 << 20
"""The longest line that a maker may write."""

Answer = Made | IsobenchError


def make(some: Sequence[Job], progress: Progress) -> Iterator[tuple[Job, Answer]]:
    """Do the jobs, and yield each with what was made, or why it failed, as soon as it has ended.

    A job that ran out of memory beside others is done again by itself.
    """
    log_file = jobs.log_file()
    short: list[Job] = []
    try:
        for job, answer, alone in _Makers(some, at_once(some), log_file, progress).answers():
            out_of_memory = isinstance(answer, IsobenchError) and answer.kind is Ending.OUT_OF_MEMORY
            if out_of_memory and not alone:
                progress.note(f"{job.label}: out of memory beside others; it is tried again by itself")
                short.append(job)
            else:
                yield job, answer
        for job, answer, _ in _Makers(short, 1, log_file, progress).answers():
            yield job, answer
    finally:
        with suppress(OSError):
            log_file.unlink(missing_ok=True)


def at_once(some: Sequence[Job]) -> int:
    """How many of these jobs are done at a time: one for each core, if there is memory for it."""
    if all(isinstance(job, EnvironmentJob) for job in some):
        return min(len(some), ENVIRONMENTS_AT_ONCE)
    from isobench.system import memory

    free = memory.available_bytes()
    fitting = free // BUILD_BYTES if free is not None else 1
    return max(1, min(len(some), devices.default_threads(), fitting))


class _Makers:
    """The child processes at work on some jobs."""

    def __init__(self, some: Sequence[Job], most: int, log_file: Path, progress: Progress) -> None:
        self._waiting = deque(some)
        self._number = len(some)
        self._ended = 0
        self._most = most
        self._log_file = log_file
        self._progress = progress
        self._makers: dict[int, _Maker] = {}

    def answers(self) -> Iterator[tuple[Job, Answer, bool]]:
        """Each job with its answer; was it alone when it ended?"""
        poll = select.poll()
        self._report()
        try:
            while self._waiting or any(maker.job for maker in self._makers.values()):
                for given, error in self._assign(poll):
                    self._ended += 1
                    yield given, error, True
                for descriptor, _ in poll.poll() if self._makers else ():
                    maker = self._makers[descriptor]
                    job, alone = maker.job, sum(one.job is not None for one in self._makers.values()) == 1
                    answer = maker.receive(self._progress)
                    if maker.is_gone:
                        poll.unregister(descriptor)
                        del self._makers[descriptor]
                        maker.close()
                    if job is not None and answer is not None:
                        self._ended += 1
                        yield job, answer, alone
                        self._report()
        finally:
            for maker in self._makers.values():
                maker.close()

    def _report(self) -> None:
        if self._ended < self._number:
            self._progress.begin(f"preparing, {self._ended} of {self._number} done")

    def _assign(self, poll: select.poll) -> Iterator[tuple[Job, IsobenchError]]:
        """Give each idle maker a job, and start further ones as long as that is allowed.

        Where none can be started, the next job fails, unless one of those at work can do it later.
        """
        while self._waiting:
            idle = next((maker for maker in self._makers.values() if maker.job is None), None)
            if idle is None and len(self._makers) >= self._most:
                break
            if idle is None:
                try:
                    idle = _Maker(self._log_file)
                except OSError as error:
                    if self._makers:
                        break
                    job = self._waiting.popleft()
                    yield job, unexpected(error, job.label)
                    continue
                self._makers[idle.events] = idle
                poll.register(idle.events, select.POLLIN)
            job = self._waiting.popleft()
            idle.start(job)
            self._progress.stage(job.label)


class _Maker:
    """One child process."""

    def __init__(self, log_file: Path) -> None:
        self.job: Job | None = None
        self.is_gone = False
        self._incomplete = b""
        self._log_file = log_file
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as ours, ExitStack() as its:
            self.events, events_write = _pipe(ours, its)
            stdin_read, self._requests = _pipe(its, ours)
            argv: list[str | Path] = [sys.executable, "-P", "-B", "-m", _CHILD, str(events_write)]
            self._popen: subprocess.Popen[bytes] = process.spawn(
                process.tethered(argv), env=os.environ, log_file=log_file, stdin=stdin_read, pass_fds=(events_write,)
            )
            self._descriptors = ours.pop_all()

    def start(self, job: Job) -> None:
        self.job = job
        with suppress(OSError):  # it has crashed; `receive` reports that
            os.write(self._requests, json.dumps(jobs.to_json(job)).encode() + b"\n")

    def receive(self, progress: Progress) -> Answer | None:
        """Read what it has written, and pass on its progress; the answer to its job, if that has ended."""
        received = os.read(self.events, 1 << 16)
        if not received:
            self.is_gone = True
            return self._crash() if self.job is not None else None
        *lines, self._incomplete = (self._incomplete + received).split(b"\n")
        try:
            for line in lines:
                answer = self._answer(json.loads(line), progress)
                if answer is not None:
                    self.job = None
                    return answer  # the last line of a job
            if len(self._incomplete) > MOST_LINE_BYTES:
                raise ValueError(f"a line of more than {MOST_LINE_BYTES:,} bytes")
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            self.is_gone = True
            return self._garbage(error)
        return None

    def _garbage(self, error: Exception) -> IsobenchError | None:
        """The failure of its job, for which it wrote what isn't a line of `maker`'s. What follows can't be trusted."""
        if self.job is None:
            return None
        return IsobenchError(
            f"the process that was {self.job.label} wrote a malformed line: {error}",
            kind=Ending.PROTOCOL,
            details=process.tail(self._log_file, 10),
        )

    def _answer(self, event: dict[str, Any], progress: Progress) -> Answer | None:
        if self.job is None:
            raise ValueError("an answer without a job")
        if "answer" in event:
            return jobs.made_from_json(event["answer"], self.job)
        if "error" in event:
            return jobs.error_from_json(event["error"])
        if "note" in event:
            progress.note(event["note"])
        else:
            progress.stage(f"{self.job.label}: {event['stage']}")
        return None

    def _crash(self) -> IsobenchError:
        assert self.job is not None
        status = process.wait(self._popen, 10)
        how = f"was killed by signal {-status}" if status and status < 0 else f"exited with code {status}"
        return IsobenchError(
            f"the process that was {self.job.label} {how}",
            details=process.tail(self._log_file, 10),
            hint="Try it by itself, or with less beside it: isobench sweep retry FOLDER",
        )

    def close(self) -> None:
        """Kill it, with everything that it started."""
        process.kill_group(self._popen)
        self._descriptors.close()


def _pipe(reads: ExitStack, writes: ExitStack) -> tuple[int, int]:
    """A pipe's ends for reading and writing, each closed with what it is for."""
    ends = os.pipe()
    for closing, descriptor in zip((reads, writes), ends, strict=True):
        closing.callback(os.close, descriptor)
    return ends
