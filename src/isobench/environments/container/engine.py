"""podman or docker: which of them is there, and how it's asked.

podman goes first: it needs no daemon, so its containers are this process's own descendants, and it runs without
privileges. ISOBENCH_CONTAINER_ENGINE, or `container_engine = "docker"` in `config.toml`, says otherwise. Whatever else
an engine is to know (where its images lie, its limits, its OCI runtime) is said in its own configuration.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from isobench.environments import config
from isobench.errors import ProvisionError, UsageError
from isobench.system import process

NAMES = ("podman", "docker")
LABEL = "isobench"
"""The mark of our containers; their names say whose they are."""
_ASK_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One of `NAMES`; `rootless` says that its containers run in a user namespace of an unprivileged user."""

    name: str
    program: Path
    version: str
    rootless: bool

    def ask(self, *arguments: str, timeout_s: float = _ASK_TIMEOUT_S) -> str:
        """What the engine prints.

        Raises:
            OSError: it fails; its last lines are in the message.
        """
        return process.capture([self.program, *arguments], env=os.environ, timeout_s=timeout_s)

    def inspect(self, reference: str) -> dict[str, Any] | None:
        """What the engine knows of an image; None where it isn't on this machine."""
        try:
            found: list[dict[str, Any]] = json.loads(self.ask("image", "inspect", reference))
        except (OSError, ValueError):
            return None
        return found[0] if found else None

    def user(self) -> list[str]:
        """The options by which what is written outside belongs to this user, and to nobody else."""
        me = f"{os.getuid()}:{os.getgid()}"
        if not self.rootless:
            return [f"--user={me}"]
        # In docker's user namespace this user is root; podman can keep the number.
        return ["--user=0:0"] if self.name == "docker" else ["--userns=keep-id", f"--user={me}"]

    def gpus(self) -> list[str]:
        """The options by which a container sees the GPUs of NVIDIA; CUDA_VISIBLE_DEVICES says which of them count."""
        return ["--device=nvidia.com/gpu=all"] if self.name == "podman" else ["--gpus=all"]

    def remove(self, names: Sequence[str]) -> None:
        """End containers at once and remove them; one that is gone already is none the worse."""
        at_once = ["--time=0", "--ignore"] if self.name == "podman" else []
        try:
            self.ask("rm", "--force", *at_once, *names)
        except OSError:
            return  # it's gone; or the engine is, and then nothing can be done

    def remove_leftovers(self) -> list[str]:
        """Remove our containers whose host process was killed before it could; return their names."""
        try:
            there = self.ask("ps", "--all", f"--filter=label={LABEL}", "--format={{.Names}}").split()
        except OSError:
            return []
        orphans = [name for name in there if _is_orphan(name)]
        if orphans:
            self.remove(orphans)
        return orphans


def find() -> Engine:
    """The engine to use.

    Raises:
        UsageError: one is asked for by a name that none has.
        ProvisionError: none can be used here; the message says why.
    """
    asked, source = config.value("container_engine", "ISOBENCH_CONTAINER_ENGINE")
    if asked and asked not in NAMES:
        raise UsageError(f"there is no container engine {asked!r} ({source})", hint=f"there are: {', '.join(NAMES)}")
    refusals = []
    for name in [asked] if asked else NAMES:
        program = shutil.which(name)
        if program is None:
            refusals.append(f"{name} isn't installed")
            continue
        found = _examined(name, Path(program))
        if isinstance(found, Engine):
            return found
        refusals.append(found)
    raise ProvisionError(
        f"no container can be run: {'; '.join(refusals)}",
        hint="install podman (Debian and Ubuntu: apt-get install podman), or use --provider venv",
    )


@cache
def _examined(name: str, program: Path) -> Engine | str:
    """The engine, or why it can't be used."""
    question = ["--version"] if name == "podman" else ["info", "--format={{.ServerVersion}} {{.SecurityOptions}}"]
    try:
        said = process.capture([program, *question], env=os.environ, timeout_s=10).split()
    except OSError as error:
        said, why = [], str(error).strip().splitlines()[-1]
    else:
        why = "its daemon doesn't answer"
    if name == "podman" and said:
        return Engine(name=name, program=program, version=said[-1], rootless=os.getuid() != 0)
    if name == "docker" and said and said[0][:1].isdigit():
        return Engine(name=name, program=program, version=said[0], rootless="rootless" in " ".join(said[1:]))
    return f"{name} can't be used: {why}"


def new_name() -> str:
    """A name for a container, by which others can tell whether the process that it's of is still there."""
    return f"isobench-{_here()}-{os.getpid()}-{_started(os.getpid())}-{os.urandom(3).hex()}"


def _is_orphan(name: str) -> bool:
    """Whether the process that a container was named by is gone: told only of this boot and this pid namespace."""
    label, _, rest = name.partition("-")
    where, _, rest = rest.partition("-")
    fields = rest.split("-")
    if label != "isobench" or where != _here() or len(fields) != 3:
        return False
    pid, started, _ = fields
    return pid.isdigit() and _started(int(pid)) != started


def _here() -> str:
    """This boot and this pid namespace, in which a process's number means something."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    namespace = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - it's no file of Path's world
    return f"{boot}.{namespace}"


def _started(pid: int) -> str:
    """When a process started, in ticks since the boot; "" where it's gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
