"""The processes of one worker: starting them, and ending all of them.

The first is the worker's keeper (launch.py, keeper.py), or the engine's client where the worker is in a container: the
keeper is not our descendant then.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isobench.system import cgroups, process
from isobench.workers import protocol

if TYPE_CHECKING:
    import subprocess

    from isobench.environments.container.running import Container
    from isobench.system.cgroups import Group

_STOPPING_S = 10
"""How long a keeper may take to end a tree."""


class Tree:
    """A worker's processes. `control` and `events` are our ends of the pipes to and from it, -1 once they are closed.

    `word` is what all of them inherit as ISOBENCH_TREE, `groups` are their control groups.
    """

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        *,
        control: int,
        events: int,
        spawned_s: float,
        word: str,
        groups: Sequence[Group],
        container: Container | None,
    ) -> None:
        self.popen = popen
        self.control = control
        self.events = events
        self.ending = os.pidfd_open(popen.pid)
        self.spawned_s = spawned_s
        self.container = container
        self._word = word
        self._groups = groups

    def stop(self) -> None:
        """End all of it, if any still runs."""
        if self.control < 0:
            return
        os.close(self.control)  # the keeper ends the others
        self.control = -1
        for group in self._groups:
            group.kill()
        status = process.wait(self.popen, timeout_s=_STOPPING_S if self.container is None else 0)
        process.kill_group(self.popen)
        if self.container is not None:
            # A client that exited normally has removed its container.
            if status is None or status < 0:
                self.container.remove()
        elif status is None or status < 0:  # the keeper was killed, and the others have lost their parents
            process.kill_inheritors("ISOBENCH_TREE", self._word)

    def close(self) -> None:
        """End all of it, and leave nothing of it."""
        self.stop()
        for group in self._groups:
            group.remove()
        self._groups = ()
        for descriptor in (self.events, self.ending):
            if descriptor >= 0:
                os.close(descriptor)
        self.events = self.ending = -1

    def oom_evidence(self, worker: int, container_kills: int) -> str:
        """What shows that the kernel killed some of it because memory ran out, as a sentence; "": nothing.

        `worker` is the worker's process, `container_kills` what its container counts. Only what is about this worker
        counts: its own control group or container, and the kernel's log for its process.
        """
        kills = max([container_kills, *(group.oom_kills() for group in self._groups)])
        if kills:
            return f"its control group counts {kills} such {'kill' if kills == 1 else 'kills'}"
        if self.container is None:
            from isobench.system import kernel_log

            for pid in {worker, self.popen.pid}:
                if kernel_log.killed_for_memory(pid, since_s=self.spawned_s):
                    return f"the kernel's log says that it killed process {pid}"
        return ""


def spawn(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    run_dir: Path,
    cwd: Path | None,
    resources: Mapping[str, Any],
    container: Container | None,
) -> Tree:
    """Start the keeper or the engine's client.

    Raises:
        OSError: it can't be started; nothing is left of it.
    """
    with ExitStack() as ours, ExitStack() as theirs:
        groups, variables = ([], {}) if container else _groups(resources)
        for group in groups:
            ours.callback(group.remove)
        spawned_s = time.perf_counter()
        control_read, control = os.pipe()
        ours.callback(os.close, control)
        theirs.callback(os.close, control_read)
        os.set_blocking(control, False)  # a worker that doesn't read must not stop the host
        events, events_write = os.pipe()
        ours.callback(os.close, events)
        theirs.callback(os.close, events_write)
        popen = process.spawn(
            argv,
            env=os.environ if container else {**env, **variables, "ISOBENCH_EVENTS": str(events_write)},
            log_file=run_dir / protocol.LOG_FILE,
            cwd=None if container else cwd,
            stdin=control_read,
            stdout=events_write if container else None,
            pass_fds=() if container else (events_write,),
        )
        ours.callback(process.kill_group, popen)
        tree = Tree(
            popen,
            control=control,
            events=events,
            spawned_s=spawned_s,
            word=variables.get("ISOBENCH_TREE", ""),
            groups=groups,
            container=container,
        )
        ours.pop_all()  # from now on, the tree closes them
        return tree


def _groups(resources: Mapping[str, Any]) -> tuple[list[Group], dict[str, str]]:
    """The control groups of a worker, those that can be made, and the variables that name them."""
    limit_bytes = resources.get("memory_limit_bytes")
    limited = cgroups.create_limited(limit_bytes) if limit_bytes else None
    whole = limited if limited and limited.kills else cgroups.create()  # a process has one group of version 2
    variables = {"ISOBENCH_TREE": str(whole.folder) if whole else os.urandom(8).hex()}
    if limited:
        variables["ISOBENCH_RESOURCES"] = json.dumps({**resources, "memory_group": str(limited.folder)})
    return [group for group in dict.fromkeys((limited, whole)) if group], variables
