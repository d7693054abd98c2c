"""podman or docker: which of them is available, and how it is called.

podman is preferred: it needs no daemon, so its containers are this process's own descendants, and it runs without
privileges. ISOBENCH_CONTAINER_ENGINE, or `container_engine = "docker"` in `config.toml`, chooses another. Everything
else (where images are stored, limits, the OCI runtime) belongs into the engine's own configuration.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.environments import config
from isobench.errors import ProvisionError, UsageError
from isobench.record import record
from isobench.system import leftovers, process
from isobench.system.leftovers import Owner

NAMES = ("podman", "docker")
LABEL = "isobench"
"""The label of our containers; their names identify the process that they belong to."""
_ASK_TIMEOUT_S = 60.0


@record(frozen=True, slots=True, kw_only=True)
class Engine:
    """One of `NAMES`; `rootless`: its containers run in a user namespace of an unprivileged user."""

    name: str
    program: Path
    version: str
    rootless: bool

    def ask(self, *arguments: str, timeout_s: float = _ASK_TIMEOUT_S) -> str:
        """The output of a command of the engine.

        Raises:
            OSError: it failed; its last lines are in the message.
        """
        return process.capture([self.program, *arguments], env=os.environ, timeout_s=timeout_s)

    def inspect(self, reference: str) -> dict[str, Any] | None:
        """The engine's description of an image; None if it isn't on this machine."""
        try:
            found: list[dict[str, Any]] = json.loads(self.ask("image", "inspect", reference))
        except (OSError, ValueError):
            return None
        return found[0] if found else None

    def user(self) -> list[str]:
        """The options by which files written to the host belong to this user."""
        me = f"{os.getuid()}:{os.getgid()}"
        if not self.rootless:
            return [f"--user={me}"]
        # In docker's user namespace this user is root; podman can keep the user ID.
        return ["--user=0:0"] if self.name == "docker" else ["--userns=keep-id", f"--user={me}"]

    def gpus(self) -> list[str]:
        """The options by which a container sees the NVIDIA GPUs; CUDA_VISIBLE_DEVICES selects among them."""
        return ["--device=nvidia.com/gpu=all"] if self.name == "podman" else ["--gpus=all"]

    def remove(self, names: Sequence[str]) -> None:
        """Kill containers and remove them, if they still exist."""
        at_once = ["--time=0", "--ignore"] if self.name == "podman" else []
        try:
            self.ask("rm", "--force", *at_once, *names)
        except OSError:
            return  # the container is gone, or the engine is, and then nothing can be done

    def remove_leftovers(self) -> list[str]:
        """Remove our containers whose host process was killed before it could do so; return their names."""
        try:
            found = self.ask("ps", "--all", f"--filter=label={LABEL}", "--format={{.Names}}").split()
        except OSError:
            return []
        orphans = [name for name in found if _is_orphan(name)]
        if orphans:
            self.remove(orphans)
        return orphans


def find() -> Engine:
    """The engine to use.

    Raises:
        UsageError: the requested one is unknown.
        ProvisionError: none can be used here; the message gives the reason for each.
    """
    asked, source = config.value("container_engine", "ISOBENCH_CONTAINER_ENGINE")
    if asked and asked not in NAMES:
        raise UsageError(
            f"there is no container engine {asked!r} ({source})", hint=f"The engines are: {', '.join(NAMES)}."
        )
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
        f"no container engine is available: {'; '.join(refusals)}",
        hint="Install podman (Debian and Ubuntu: apt-get install podman), or use --provider venv.",
    )


@cache
def _examined(name: str, program: Path) -> Engine | str:
    """The engine, or the reason why it can't be used."""
    question = ["--version"] if name == "podman" else ["info", "--format={{.ServerVersion}} {{.SecurityOptions}}"]
    try:
        output = process.capture([program, *question], env=os.environ, timeout_s=10).split()
    except OSError as error:
        output, why = [], str(error).strip().splitlines()[-1]
    else:
        why = "its daemon doesn't answer"
    if name == "podman" and output:
        return Engine(name=name, program=program, version=output[-1], rootless=os.getuid() != 0)
    if name == "docker" and output and output[0][:1].isdigit():
        return Engine(name=name, program=program, version=output[0], rootless="rootless" in " ".join(output[1:]))
    return f"{name} can't be used: {why}"


def new_name() -> str:
    """A name for a container that shows others whether the process that it belongs to still exists."""
    return f"isobench-{paths.owner()}-{os.urandom(3).hex()}"


def _is_orphan(name: str) -> bool:
    """Whether a container's process is gone. Only names of this boot and this PID namespace can tell."""
    return name.startswith("isobench-") and leftovers.owner_of(name) is Owner.GONE
