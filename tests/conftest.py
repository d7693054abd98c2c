"""Settings for all tests."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

# A process that was started in the background (by a CI system, say) ignores Ctrl-C, and so do its children: programs
# that tests interrupt would wait forever.
signal.signal(signal.SIGINT, signal.default_int_handler)

FOLDERS = {"containers", "slurm"}
MEASURING = {
    "test_base_rt.py",
    "test_benchmarks.py",
    "test_compare.py",
    "test_conda_run.py",
    "test_correctness.py",
    "test_from_turnkeyml.py",
    "test_plugins.py",
    "test_resources.py",
    "test_run.py",
    "test_sequences.py",
    "test_sweep_command.py",
    "test_sweep_engine.py",
    "test_variants.py",
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several processes (`make test`), the tests of one file run in one of them, and share its fixtures.

    So do all files of MEASURING, whose tests would only wait for each other's device, and those of a folder of FOLDERS,
    which share podman's storage, or a cluster.
    """
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = Path(nodeid.partition("::")[0])
            if file.name in MEASURING:
                return "measuring"
            return file.parent.name if file.parent.name in FOLDERS else str(file)

    return Scheduling(config, log)
