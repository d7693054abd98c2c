"""Every path on disk. No other module puts names of these folders together.

$ISOBENCH_HOME/            unless the variable is set, $XDG_DATA_HOME/isobench, or ~/.local/share/isobench
    environments/          NAME-PROVIDER-IDENTITY/, beside it .lock, .log and .tmp during its installation
    locks/                 locks resolved for the dependencies of scripts
    builds/                builds of models, content-addressed; index/ maps requests to builds, and has their locks
    results/               ID/result.json, samples beside it
    sweeps/                NAME-TIME/: a folder for each sweep (`sweeps/folder.py`)
    runs/                  run directories of workers, and whatever isn't finished or is being removed: what its
                           process has left there is removed by the next one (`system/leftovers.py`)
    tmp/                   temporary files of workers, unless TMPDIR is set
    calibration.json       how much identical runs differ on this machine
    cache/                 what runtimes cache between runs (torch.compile, TensorRT's timings); conda packages;
                           index/: what lists of results need (`results/index.py`)

$ISOBENCH_ENVS/            NAME/: the user's own specs of environments, which override isobench's

$ISOBENCH_DEVICE_LOCKS/    the locks that make a device exclusive; one folder for the whole machine and all of its
                           users: /run/lock/isobench-devices, or in /tmp
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
WORKERS = (PACKAGE / "workers").resolve()
ENVS = (PACKAGE / "envs").resolve()
UNKNOWN_BOOT = "00000000"


def expanded(path: str | Path) -> Path:
    """The path with the folder of a user in place of `~` or `~user`; as it is where there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's raises a RuntimeError


def real(path: Path) -> Path:
    """Where links lead. Of those that lead to each other, pathlib's `resolve` raises a RuntimeError."""
    return Path(os.path.realpath(path))


def home() -> Path:
    """The folder that holds everything isobench keeps."""
    moved = os.environ.get("ISOBENCH_HOME")
    if not moved:
        data = os.environ.get("XDG_DATA_HOME", "")  # a relative one must be ignored: XDG Base Directory Specification
        return Path(data if data.startswith("/") else os.path.expanduser("~/.local/share"), "isobench")  # noqa: PTH111
    folder = expanded(moved).absolute()
    return real(folder) if ".." in folder.parts else folder  # so that each path has one name


def envs() -> list[Path]:
    """The folders that hold specs of environments: the user's own (ISOBENCH_ENVS), then isobench's."""
    own = os.environ.get("ISOBENCH_ENVS")
    return [expanded(own).absolute(), ENVS] if own else [ENVS]


def environments() -> Path:
    return home() / "environments"


def locks() -> Path:
    return home() / "locks"


def builds() -> Path:
    return home() / "builds"


def results() -> Path:
    return home() / "results"


def sweeps() -> Path:
    return home() / "sweeps"


def runs() -> Path:
    return home() / "runs"


def temporary() -> Path:
    return home() / "tmp"


def calibration() -> Path:
    return home() / "calibration.json"


def cache_of(name: str) -> Path:
    return home() / "cache" / name


def index(of_results: str) -> Path:
    """The index of a folder of results, which is known by a hash of its path."""
    return cache_of("index") / f"{of_results}.sqlite"


def devices() -> Path:
    """The folder of the devices' locks: the same one for every user and every ISOBENCH_HOME of this machine."""
    moved = os.environ.get("ISOBENCH_DEVICE_LOCKS")
    if moved:
        return Path(moved).absolute()
    shared = "/run/lock"
    try:
        # The choice must be equal for all users, root included: not "may I write there?" but "may everybody?".
        everybodys = os.stat(shared).st_mode & 0o1777 == 0o1777  # noqa: PTH116 - pathlib's is slower
    except FileNotFoundError:
        everybodys = False
    return Path(shared if everybodys else "/tmp", "isobench-devices")  # noqa: S108 - TMPDIR may be each user's own


def new_run(name: str) -> Path:
    """A unique path for a run directory, which isn't created. Its name says whose it is (`system/leftovers.py`)."""
    return runs() / f"{name}-{owner()}-{os.urandom(3).hex()}"


def owner() -> str:
    """This process as a part of a file's name: BOOT-NAMESPACE-PID-START.

    Hosts may share the folder, and number processes alike. BOOT is the beginning of a random number that the kernel
    draws at each boot (UNKNOWN_BOOT if it shows none); START is in ticks since then.
    """
    return _owner(os.getpid())  # after a fork, another one


@cache
def _owner(pid: int) -> str:
    namespace = _link("/proc/self/ns/pid").strip("pid:[]") or "0"
    return f"{_text('/proc/sys/kernel/random/boot_id')[:8] or UNKNOWN_BOOT}-{namespace}-{pid}-{start_of(pid)}"


def start_of(pid: int) -> int:
    """When a process of this host was started, in ticks since the host's; 0: it has ended; -1: that can't be seen."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:  # noqa: PTH123 - as below
            state, *fields = stream.read().rpartition(")")[2].split() or [""]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except OSError:  # too many open files, say
        return -1
    return int(fields[18]) if len(fields) > 18 and state not in {"Z", "X"} else 0


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:  # noqa: PTH123 - pathlib's is slower
            return stream.read()
    except OSError:
        return ""


def _link(file: str) -> str:
    try:
        return os.readlink(file)  # noqa: PTH115 - pathlib's is slower
    except OSError:
        return ""
