"""The batch system's job that this process runs in, and what else runs on its node.

The job is read from the environment's variables, which costs nothing. Other jobs and the node's features are looked up
only in a task of a sweep (`looking_around`), before and after a measurement, never while something is timed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from isobench.record import record
from isobench.system.facts import BatchJob


@record(frozen=True, slots=True, kw_only=True)
class _Submitted:
    exclusive: bool | None


_submitted: ContextVar[_Submitted | None] = ContextVar("_submitted", default=None)


@contextmanager
def looking_around(*, exclusive: bool | None) -> Iterator[None]:
    """Within it, `begun` and `ended` ask Slurm. `exclusive`: the job was submitted for whole nodes."""
    token = _submitted.set(_Submitted(exclusive=exclusive))
    try:
        yield
    finally:
        _submitted.reset(token)


def begun(variables: Mapping[str, str] = os.environ) -> BatchJob | None:
    """The job, before something is measured in it; None outside of any."""
    job_id = variables.get("SLURM_JOB_ID", "")
    if not job_id:
        return None
    job = BatchJob(
        system="slurm",
        job_id=job_id,
        array_job_id=variables.get("SLURM_ARRAY_JOB_ID", ""),
        array_task=variables.get("SLURM_ARRAY_TASK_ID", ""),
        cluster=variables.get("SLURM_CLUSTER_NAME", ""),
        node=variables.get("SLURMD_NODENAME", ""),
        partition=variables.get("SLURM_JOB_PARTITION", ""),
        account=variables.get("SLURM_JOB_ACCOUNT", ""),
        qos=variables.get("SLURM_JOB_QOS", ""),
    )
    submitted = _submitted.get()
    if submitted is None or not job.node:
        return job
    return replace(job, exclusive=submitted.exclusive, features=_features(job.node), others_at_begin=_others(job))


def ended(job: BatchJob | None) -> BatchJob | None:
    """The job after the measurement: with the other jobs on its node."""
    if job is None or _submitted.get() is None or not job.node:
        return job
    return replace(job, others_at_end=_others(job))


def _others(job: BatchJob) -> tuple[str, ...] | None:
    """The ids of the other jobs that run on the node; None where Slurm doesn't answer."""
    from isobench.system import slurm

    own = {job.job_id, f"{job.array_job_id}_{job.array_task}"}
    try:
        found = slurm.jobs(node=job.node)
    except slurm.SlurmUnreachableError:
        return None
    running = (other for other in found if other.state in ("RUNNING", "COMPLETING") and other.id not in own)
    return tuple(f"{other.id} ({other.cpus or '?'} CPUs)" for other in running)


def _features(node: str) -> tuple[str, ...]:
    from isobench.system import slurm

    try:
        return next((found.features for found in slurm.nodes(node)), ())
    except slurm.SlurmUnreachableError:
        return ()
