"""The local executor of sweeps: what is measured now, and how it is stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sample_sweeps

from isobench.executors import local_sweep
from isobench.executors.local_sweep import LocalSweepExecutor
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import What
from isobench.system import locks

TASK = sample_sweeps.task("a", case_key="a")
OTHER = sample_sweeps.task("b", case_key="b")
WORKS = """
import signal, sys, time
from pathlib import Path
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import What
from isobench.system import locks
if sys.argv[2] == "ignores":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
else:
    signal.signal(signal.SIGINT, signal.default_int_handler)
folder = SweepFolder.find(sys.argv[1])
with locks.FileLock(folder.lock_file, what="the sweep"):
    done, running = folder.sweep.tasks
    folder.journal.write(What.RUNNING, task=done.key)
    folder.journal.write(What.ENDED, task=done.key)
    folder.journal.write(What.RUNNING, task=running.key)
    print("works", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    return sample_sweeps.folder(tmp_path / "night", TASK, OTHER)


@contextmanager
def at_work(folder: SweepFolder, how: str = "") -> Iterator[subprocess.Popen[str]]:
    """A process that works on the second task of the sweep."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKS, folder.path, how], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as working:
        assert working.stdout is not None
        try:
            assert working.stdout.readline() == "works\n"
            yield working
        finally:
            working.kill()


def test_the_task_that_a_process_measures_is_pending(folder: SweepFolder) -> None:
    with at_work(folder) as working:
        pending = LocalSweepExecutor({}).pending(folder)
    assert list(pending) == [OTHER.key]
    assert pending[OTHER.key] == f"pid {working.pid}"


def test_what_a_dead_process_was_measuring_isnt_pending(folder: SweepFolder) -> None:
    with at_work(folder):
        pass
    assert LocalSweepExecutor({}).pending(folder) == {}
    assert LocalSweepExecutor({}).cancel(folder) == 0


def test_what_another_process_left_behind_isnt_pending(folder: SweepFolder) -> None:
    with at_work(folder):
        pass
    with locks.FileLock(folder.lock_file, what="the sweep"):
        assert LocalSweepExecutor({}).pending(folder) == {}
        folder.journal.write(What.RUNNING, task=TASK.key)
        assert list(LocalSweepExecutor({}).pending(folder)) == [TASK.key]


def test_cancel_interrupts_the_process_that_works_on_the_sweep(folder: SweepFolder) -> None:
    with at_work(folder) as working:
        assert LocalSweepExecutor({}).cancel(folder) == 1
        assert working.wait(10) in {-signal.SIGINT, 1}
    assert locks.holder(folder.lock_file) is None


def test_cancel_terminates_a_process_that_ignores_an_interrupt(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_sweep, "PATIENCE_S", 0.3)
    with at_work(folder, "ignores") as working:
        assert LocalSweepExecutor({}).cancel(folder) == 1
        assert working.wait(10) == -signal.SIGTERM
