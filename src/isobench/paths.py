"""Every path on disk. No other module puts names of these folders together.

$ISOBENCH_HOME/            unless the variable is set, $XDG_DATA_HOME/isobench, or ~/.local/share/isobench
    environments/          NAME-PROVIDER-IDENTITY/, beside it .lock, .log and .tmp during its installation
    locks/                 locks resolved for the dependencies of scripts
    builds/                builds of models, content-addressed; index/ maps requests to builds, and has their locks
    results/               ID/result.json, samples beside it
    sweeps/                NAME-TIME/: a folder for each sweep (`sweeps/folder.py`)
    runs/                  run directories of workers that are running, or that failed
    calibration.json       how much identical runs differ on this machine
    cache/                 what runtimes cache between runs (torch.compile, TensorRT's timings); conda packages;
                           index/: what lists of results need (`results/index.py`)

$ISOBENCH_ENVS/            NAME/: the user's own specs of environments, which override isobench's

$ISOBENCH_DEVICE_LOCKS/    the locks that make a device exclusive; one folder for the whole machine and all of its
                           users: /run/lock/isobench-devices, or in /tmp
"""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).parent
WORKERS = (PACKAGE / "workers").resolve()
ENVS = (PACKAGE / "envs").resolve()


def home() -> Path:
    """The folder that holds everything isobench keeps."""
    moved = os.environ.get("ISOBENCH_HOME")
    if not moved:
        data = os.environ.get("XDG_DATA_HOME", "")  # a relative one must be ignored: XDG Base Directory Specification
        return Path(data if data.startswith("/") else os.path.expanduser("~/.local/share"), "isobench")  # noqa: PTH111
    folder = Path(moved).expanduser().absolute()
    return folder.resolve() if ".." in folder.parts else folder  # so that each path has one name


def envs() -> list[Path]:
    """The folders that hold specs of environments: the user's own (ISOBENCH_ENVS), then isobench's."""
    own = os.environ.get("ISOBENCH_ENVS")
    return [Path(own).expanduser().absolute(), ENVS] if own else [ENVS]


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
    """A unique path for a run directory, which isn't created."""
    return runs() / f"{name}-{os.getpid()}-{os.urandom(3).hex()}"
