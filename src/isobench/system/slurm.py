"""Slurm's commands: `squeue` and `scontrol` say what is pending and why a job ended, `scancel` ends one.

Accounting (`sacct`) isn't used: many clusters have none. Slurm forgets a job some minutes after it has ended
(`MinJobAge`).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Sequence

from isobench.errors import IsobenchError, UsageError
from isobench.failures import Ending
from isobench.record import record

COMMANDS = ("sbatch", "squeue", "scontrol", "scancel")

_ACTIVE = frozenset(
    {
        "CONFIGURING",
        "COMPLETING",
        "PENDING",
        "RESIZING",
        "RESV_DEL_HOLD",
        "REQUEUED",
        "REQUEUE_FED",
        "REQUEUE_HOLD",
        "RUNNING",
        "SIGNALING",
        "SPECIAL_EXIT",
        "STAGE_OUT",
        "STOPPED",
        "SUSPENDED",
    }
)
_UNUSABLE = ("DOWN", "DRAIN", "FAIL", "FUTURE", "MAINT", "UNKNOWN", "NOT_RESPONDING", "POWERED_DOWN")
_FORMAT = "%i|%T|%N|%r|%l|%C|%j"
_TIMEOUT_S = 120


class SlurmUnreachableError(IsobenchError):
    """One of Slurm's commands failed; it says nothing of the jobs."""

    default_kind = Ending.INTERNAL


@record(frozen=True, slots=True, kw_only=True)
class Job:
    """A job, or one task of an array (`id` is "1234_5"), as `squeue` lists it.

    `node` and `reason` are "" where Slurm has none, `time_limit` is "10:00" or "UNLIMITED".
    """

    id: str
    name: str
    state: str
    node: str = ""
    reason: str = ""
    time_limit: str = ""
    cpus: int | None = None

    @property
    def is_active(self) -> bool:
        """Does it run or wait?"""
        return self.state in _ACTIVE


@record(frozen=True, slots=True, kw_only=True)
class Node:
    """A node as `scontrol` describes it; `architecture` is as the kernel calls it, "" before it has ever registered."""

    name: str
    architecture: str
    state: str
    features: tuple[str, ...]
    partitions: tuple[str, ...]

    @property
    def is_usable(self) -> bool:
        """Does Slurm start jobs on it?"""
        return not any(word in self.state for word in _UNUSABLE)


def missing() -> list[str]:
    """Those of Slurm's commands that aren't on PATH."""
    return [name for name in COMMANDS if shutil.which(name) is None]


def jobs(*, prefix: str = "", node: str = "") -> list[Job]:
    """A node's jobs; or this user's whose name begins with `prefix`, ended ones that Slurm remembers, too.

    Raises:
        SlurmUnreachableError: squeue failed.
    """
    command = ["squeue", "--noheader", "--array", f"--format={_FORMAT}"]
    command += [f"--nodelist={node}"] if node else ["--states=all", f"--user={os.getuid()}"]
    found = [_job(line) for line in _output(command).splitlines() if line.count("|") >= _FORMAT.count("|")]
    return [job for job in found if job.name.startswith(prefix)]


def exit_code(job_id: str) -> str:
    """A job's exit code as `scontrol` writes it, "1:0" (the code and the signal); "" where Slurm has forgotten it."""
    try:
        described = _output(["scontrol", "--oneliner", "show", "job", job_id])
    except SlurmUnreachableError:
        return ""
    return _members(described).get("ExitCode", "")


def nodes(name: str = "") -> list[Node]:
    """Every node that this user may see, or the one of that name.

    Raises:
        SlurmUnreachableError: scontrol failed.
    """
    command = ["scontrol", "--oneliner", "show", "node", *([name] if name else [])]
    return [_node(line) for line in _output(command).splitlines() if line.startswith("NodeName=")]


def expanded(nodelist: str) -> list[str]:
    """The names of the nodes in "node[1-3],gpu7".

    Raises:
        UsageError: it isn't written as Slurm writes it.
    """
    try:
        return _output(["scontrol", "show", "hostnames", nodelist]).split()
    except SlurmUnreachableError as error:
        raise UsageError(f"{nodelist!r} is no list of nodes: {error.details}", hint="Such as node[1-3],gpu7.") from None


def partitions() -> list[str]:
    """The names of the partitions that this user may see; the default one is the first.

    Raises:
        SlurmUnreachableError: scontrol failed.
    """
    found = [_members(line) for line in _output(["scontrol", "--oneliner", "show", "partition"]).splitlines()]
    named = [members for members in found if "PartitionName" in members]
    named.sort(key=lambda members: members.get("Default") != "YES")
    return [members["PartitionName"] for members in named]


def largest_array() -> int:
    """The number of tasks that an array may have.

    Raises:
        SlurmUnreachableError: scontrol failed.
    """
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _output(["scontrol", "show", "config"]), re.MULTILINE)
    return max(1, int(found[1])) if found else 1000


def cancel(ids: Sequence[str]) -> None:
    """End jobs; one that has ended already is no error.

    Raises:
        SlurmUnreachableError: scancel failed.
    """
    for start in range(0, len(ids), 500):
        _output(["scancel", "--quiet", *ids[start : start + 500]])


def allow(job_id: str, exclude: Sequence[str]) -> None:
    """Change the nodes that a waiting job avoids.

    Raises:
        SlurmUnreachableError: scontrol failed; the job may have begun.
    """
    _output(["scontrol", "update", f"JobId={job_id}", f"ExcNodeList={','.join(exclude)}"])


def _output(command: Sequence[str]) -> str:
    from isobench.system import process

    try:
        return process.capture(command, env={**os.environ, "LC_ALL": "C"}, timeout_s=_TIMEOUT_S)
    except OSError as error:
        raise SlurmUnreachableError(
            f"Slurm doesn't answer: {command[0]} failed",
            details=str(error).strip(),
            hint="Jobs that were submitted go on. Try again when this works: squeue",
        ) from None


def active_ids(found: Iterable[Job]) -> list[str]:
    """The ids of those that run or wait."""
    return [job.id for job in found if job.is_active]


def _job(line: str) -> Job:
    job_id, state, node, reason, time_limit, cpus, name = line.split("|", 6)
    return Job(
        id=job_id,
        name=name,
        state=state,
        node=node,
        reason="" if reason == "None" else reason,
        time_limit=time_limit,
        cpus=int(cpus) if cpus.isdigit() else None,
    )


def _node(line: str) -> Node:
    members = _members(line)
    return Node(
        name=members["NodeName"],
        architecture=members.get("Arch", ""),
        state=members.get("State", "UNKNOWN"),
        features=_words(members.get("ActiveFeatures", "")),
        partitions=_words(members.get("Partitions", "")),
    )


def _members(line: str) -> dict[str, str]:
    """`Name=value` pairs; what a space follows in a value is lost, which no member that is read here has."""
    return dict(pair.partition("=")[::2] for pair in line.split() if "=" in pair)


def _words(text: str) -> tuple[str, ...]:
    return () if text in ("", "(null)") else tuple(text.split(","))
