"""Every name on disk. Nothing else in isobench joins a folder's name by itself.

    $ISOBENCH_HOME/            platformdirs' user data folder unless the variable is set
        environments/          NAME-PROVIDER-IDENTITY/, beside it NAME-PROVIDER-IDENTITY.lock while it's being made
        locks/                 locks that were resolved for a script's own dependencies
        builds/                what was made of models, content-addressed; index/ says from what
        results/               ID/result.json, samples beside it
        runs/                  run directories of workers that are at work, or that failed
        cache/                 what runtimes keep between runs (torch.compile)
        devices/               the locks that make a device exclusive
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
WORKERS = (PACKAGE / "workers").resolve()
ENVS = (PACKAGE / "envs").resolve()


@cache
def _default_home() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("isobench"))


def home() -> Path:
    """The folder that holds everything isobench keeps."""
    moved = os.environ.get("ISOBENCH_HOME")
    return Path(moved).expanduser().absolute() if moved else _default_home()


def environments() -> Path:
    return home() / "environments"


def locks() -> Path:
    return home() / "locks"


def builds() -> Path:
    return home() / "builds"


def results() -> Path:
    return home() / "results"


def runs() -> Path:
    return home() / "runs"


def cache_of(name: str) -> Path:
    return home() / "cache" / name


def devices() -> Path:
    return home() / "devices"
