"""Settings for all tests."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shared_home

from isobench import environments
from isobench.environments import Environment

# A process that was started in the background (by a CI system, say) ignores Ctrl-C, one that nohup started a hang-up,
# and so do their children: programs that tests interrupt would wait forever.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

FOLDERS = {"containers", "slurm"}


@pytest.fixture(scope="session", autouse=True)
def device_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Locks of devices for this process alone: what it measures is no figure that anybody needs to trust."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOBENCH_DEVICE_LOCKS", str(tmp_path_factory.mktemp("device-locks")))
        yield


@pytest.fixture(scope="session")
def provisioned() -> Callable[[str], Environment]:
    """Creates an environment of `envs/` in the home that all tests share."""

    def provision(name: str) -> Environment:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ISOBENCH_HOME", str(shared_home.SHARED))
            return environments.create(environments.spec(name), progress=print)

    return provision


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several processes (`make test`), the tests of one file run in one of them, and share its fixtures.

    So do those of a folder of FOLDERS, which share podman's storage, or a cluster.
    """
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = Path(nodeid.partition("::")[0])
            return file.parent.name if file.parent.name in FOLDERS else str(file)

    return Scheduling(config, log)
