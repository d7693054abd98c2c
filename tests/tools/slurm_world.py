"""A Slurm of the tests' own: munged, slurmctld and two slurmd on this machine's loopback, everything in one folder.

Both nodes are this machine, under two names, and share its CPUs. There is no accounting: `squeue` and `scontrol` are
what says something, as in many labs.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from isobench.system import process

NODES = ("n1", "n2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_LONG_S = 120
"""For everything that happens within a second on a quiet machine."""


def reason_to_skip() -> str:
    """Why a Slurm can't be started here; "" where it can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]
    if missing:
        return f"{', '.join(missing)} not installed (make slurm)"
    return "" if os.geteuid() == 0 else "slurmd needs root"


class Slurm:
    """A running cluster. `start_node` and `kill_node` start and kill a node's daemon; jobs on it go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "munge.socket"
        self.config = folder / "slurm.conf"
        self.variables = {"SLURM_CONF": str(self.config), "PATH": _PATH}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start all daemons, and wait until both nodes are idle."""
        ports = _free_ports(1 + len(NODES))
        self.config.write_text(_config(self.folder, ports))
        (self.folder / "state").mkdir()
        self._start_munge()
        self._start("slurmctld", "-D", "-i", "-f", str(self.config))
        for node in NODES:
            self.start_node(node)
        self.until("both nodes are idle", lambda: all(self.state(node) == "idle" for node in NODES))

    def start_node(self, node: str, *prefix: str) -> None:
        """Start a node's daemon; `prefix` are a command that runs it: setarch, env."""
        self._start(*prefix, "slurmd", "-D", "-f", str(self.config), "-N", node, name=node)

    def kill_node(self, node: str) -> None:
        """Kill a node's daemon and everything that it started, as a loss of power does."""
        daemon = self._processes.pop(node)
        mine = f"SLURM_CONF={self.config}".encode(), f"SLURMD_NODENAME={node}".encode()
        parents = dict(_parents())
        jobs = [pid for pid in parents if all(variable in _environment(pid) for variable in mine)]
        steps = [parents[job] for job in jobs if _is_step(parents[job])]
        for pid in dict.fromkeys([daemon.pid, *steps, *jobs]):
            for each in [pid, *_descendants(pid)]:
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
        daemon.wait()

    def state(self, node: str) -> str:
        """What sinfo says of a node: "idle", "alloc", "down*"."""
        return self.run("sinfo", "--noheader", f"--nodes={node}", "--format=%t").strip().rstrip("*~#$@+-^!%")

    def run(self, *command: str) -> str:
        """The output of one of Slurm's commands."""
        done = subprocess.run(
            command, env=os.environ | self.variables, capture_output=True, text=True, timeout=_LONG_S, check=False
        )
        if done.returncode:
            raise OSError(f"{' '.join(command)}: {done.stderr.strip()}\n{self.logs()}")
        return done.stdout

    def restart_node(self, node: str, *prefix: str, architecture: str) -> None:
        """Stop an idle node's daemon, start it as `start_node` does, and wait until it has registered as that."""
        self.kill_node(node)
        self.start_node(node, *prefix)
        self.until(f"{node} is of {architecture}", lambda: self.architecture(node) == architecture)
        self.revive(node)

    def architecture(self, node: str) -> str:
        """What a node has registered as."""
        [found] = re.findall(r"\bArch=(\S+)", self.run("scontrol", "--oneliner", "show", "node", node))
        return str(found)

    def revive(self, node: str) -> None:
        """Start a node's daemon again if it was killed, and wait until the node is idle."""
        if node not in self._processes:
            self.start_node(node)
        if self.state(node) == "down":
            self.run("scontrol", "update", f"NodeName={node}", "State=RESUME")
        self.until(f"{node} is idle", lambda: self.state(node) == "idle")

    def active(self) -> list[str]:
        """The ids of the jobs that run or wait."""
        return self.run("squeue", "--noheader", "--array", "--format=%i").split()

    def jobs(self) -> str:
        """What squeue lists."""
        return self.run("squeue", "--noheader", "--array", "--format=%i %j %T %N %r")

    def until(self, what: str, is_so: Callable[[], bool], limit_s: float = _LONG_S) -> None:
        """Wait until it is so.

        Raises:
            AssertionError: it took too long.
        """
        end = time.monotonic() + limit_s
        while not _quietly(is_so):
            assert time.monotonic() < end, f"not within {limit_s} s: {what}\n{self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        """The last lines of every daemon's log."""
        files = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {file.name}\n{process.tail(file, 15)}" for file in files)

    def stop(self) -> None:
        """Cancel all jobs, and stop every daemon that was started."""
        with suppress(OSError, subprocess.TimeoutExpired):
            self.run("scancel", "--signal=KILL", f"--user={os.getuid()}")
            self.run("scancel", f"--user={os.getuid()}")
        for node in NODES:
            if node in self._processes:
                self.kill_node(node)
        for daemon in self._processes.values():
            daemon.kill()
            daemon.wait()
        self._processes.clear()

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self._start(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={self.socket}",
            f"--pid-file={self.folder / 'munged.pid'}", f"--seed-file={self.folder / 'munged.seed'}",
            f"--log-file={self.folder / 'munged-own.log'}", "--num-threads=2",
        )  # fmt: skip
        self.until("munged listens", self.socket.exists)

    def _start(self, program: str, *arguments: str, name: str = "") -> None:
        path = shutil.which(program, path=_PATH)
        assert path is not None
        with (self.folder / f"{name or program}.log").open("ab") as log:
            self._processes[name or program] = subprocess.Popen(
                process.tethered([path, *arguments]),
                env=os.environ | self.variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


@contextmanager
def running(folder: Path) -> Iterator[Slurm]:
    """A cluster in `folder` (a short path: it holds a socket), stopped at the end."""
    slurm = Slurm(folder)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()


def _config(folder: Path, ports: list[int]) -> str:
    host = socket.gethostname().partition(".")[0]
    cpus = os.cpu_count() or 1
    nodes = [
        f"NodeName={node} NodeAddr=127.0.0.1 NodeHostname={host} Port={port} CPUs={cpus} Feature=loopback,{node}-only"
        for node, port in zip(NODES, ports[1:], strict=True)
    ]
    lines = [
        "ClusterName=isobench-test",
        f"SlurmctldHost={host}(127.0.0.1)",
        f"SlurmctldPort={ports[0]}",
        "SlurmUser=root",
        "SlurmdUser=root",
        "AuthType=auth/munge",
        "CredType=cred/munge",
        f"AuthInfo=socket={folder / 'munge.socket'}",
        "MpiDefault=none",
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/affinity",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_CPU",
        "AccountingStorageType=accounting_storage/none",
        "JobAcctGatherType=jobacct_gather/none",
        "JobCompType=jobcomp/none",
        "SchedulerType=sched/backfill",
        "SchedulerParameters=sched_interval=2,bf_interval=2",
        "ReturnToService=2",
        "SlurmctldTimeout=30",
        "SlurmdTimeout=3",
        "KillWait=2",
        "InactiveLimit=0",
        "MinJobAge=60",
        "MaxArraySize=5",
        f"StateSaveLocation={folder / 'state'}",
        f"SlurmdSpoolDir={folder}/spool-%n",
        f"SlurmctldPidFile={folder}/slurmctld.pid",
        f"SlurmdPidFile={folder}/slurmd-%n.pid",
        *nodes,
        f"PartitionName=main Nodes={','.join(NODES)} Default=YES MaxTime=60 DefaultTime=10 State=UP OverSubscribe=NO",
    ]
    return "\n".join(lines) + "\n"


def _free_ports(number: int) -> list[int]:
    """Ports that nobody listens on, below those that the kernel gives to outgoing connections."""
    found: list[int] = []
    while len(found) < number:
        port = random.randrange(12000, 32000)
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            found.append(port)
    return found


def _quietly(is_so: Callable[[], bool]) -> bool:
    """False while a command can't reach a daemon that has only just been started."""
    try:
        return is_so()
    except OSError:
        return False


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _is_step(pid: int) -> bool:
    """Is it slurmstepd, which takes care of a job and outlives slurmd?"""
    try:
        return Path(f"/proc/{pid}/comm").read_text().startswith("slurmstepd")
    except OSError:
        return False


def _parents() -> list[tuple[int, int]]:
    """Every process and its parent."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                found.append((int(entry.name), int(fields[1])))
    return sorted(found)


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found, waiting = [], [pid]
    while waiting:
        mine = children.get(waiting.pop(), [])
        found += mine
        waiting += mine
    return found
