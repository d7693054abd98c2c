"""A maker: the child process that does jobs, one after the other. Its contract, whole:

    python -P -B -m isobench.executors.maker DESCRIPTOR

    standard input   one JSON object per line, a job (`jobs.to_json`); at its end, the process exits
    DESCRIPTOR       number of a pipe; one JSON object per line: {"stage": text} or {"note": text} at any time, and last
                     for each job {"answer": what was made} or {"error": object}. Without either, it has crashed
    output, error    what libraries print; a log for people

A process rather than a thread: it may crash or use much memory, and to stop it with all that it has started is to kill
it.
"""

from __future__ import annotations

import json
import os
import sys

from isobench.errors import unexpected
from isobench.executors import jobs
from isobench.executors.cases import Bench, Cases
from isobench.executors.jobs import BuildJob, EnvironmentJob, Job, Made
from isobench.planning.plan import Plan
from isobench.system import own_process


class _Events:
    """Progress, as events in the host's pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, **event: object) -> None:
        line = json.dumps(event).encode() + b"\n"
        while line:  # a pipe may take less than a line at once
            line = line[os.write(self._descriptor, line) :]

    def begin(self, what: str) -> None:
        """The job's label says it already."""

    def stage(self, text: str) -> None:
        self.write(stage=text)

    def note(self, text: str) -> None:
        self.write(note=text)

    def end(self, status: str) -> None:
        """Nothing is measured here."""


def make(job: Job, events: _Events) -> Made:
    """Do a job.

    Raises:
        Exception: it failed.
    """
    if isinstance(job, EnvironmentJob):
        from isobench import environments

        environments.create(job.spec, progress=events.stage)
        return Made()
    if isinstance(job, BuildJob):
        from isobench.tools.base import State, builds_of

        return Made(builds=builds_of(State(model=job.model, settings=job.settings), Bench(events), onnx=job.onnx))
    plan = Plan(models=(job.model,), runtimes=(job.runtime,), device=job.device, settings=job.settings)
    cases = Cases(plan, events)
    state = cases.prepared(cases.entries[0], job.model)
    return Made(builds=state.builds, steps=state.steps)


def main() -> None:
    """Do the jobs that standard input brings."""
    own_process.hide_secrets()
    events = _Events(int(sys.argv[1]))
    for line in sys.stdin:
        job = jobs.job_from_json(json.loads(line))
        try:
            events.write(answer=jobs.made_to_json(make(job, events)))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the host reports it
            events.write(error=jobs.error_to_json(unexpected(error, job.label)))


if __name__ == "__main__":
    main()
