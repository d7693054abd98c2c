"""Nothing that a worker has started outlives it: nine ways to try, five ends of a worker, with and without cgroups.

`ISOBENCH_TRIALS=all` tries each combination ten times.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import prefixes
import pytest
from waiting import wait_until

from isobench.system import cgroups

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
TRIALS = range(10 if os.environ.get("ISOBENCH_TRIALS") == "all" else 1)

HOST = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from tests.integration.test_worker import Run
from isobench.errors import WorkerError
run = Run(Path(sys.argv[1]))
run.more = {{"how": sys.argv[2]}}
try:
    print(run("leaves_a_tree", timeout_s=float(sys.argv[3]))["how"])
except WorkerError as error:
    print(error.kind)
"""


def _can_group() -> bool:
    group = cgroups.create()
    if group is not None:
        group.remove()
    return group is not None


def _prefix(grouped: bool) -> list[str]:
    """What a host is started with so that it has, or hasn't, control groups."""
    if grouped == _can_group():
        return []
    if grouped or not prefixes.works(prefixes.NO_GROUPS):
        pytest.skip("this user can't make control groups, or can't hide them")
    return prefixes.NO_GROUPS


def _left(folder: Path) -> list[str]:
    """The processes whose command line names the folder, without those that have ended."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                command, stat = (process / "cmdline").read_bytes(), (process / "stat").read_text()
            except OSError:
                continue
            if os.fsencode(folder) in command and stat.rpartition(")")[2].split()[0] != "Z":
                found.append(f"{process.name} {command[-200:]!r}")
    return found


class Host:
    """A process that runs `leaves_a_tree.py` in `folder`."""

    def __init__(self, folder: Path, prefix: Sequence[str], how: str, timeout_s: float = 60) -> None:
        self.folder = folder
        argv = [*prefix, sys.executable, "-c", HOST, str(folder), how, str(timeout_s)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd="/")

    def wait_for_tree(self) -> None:
        wait_until((self.folder / "run" / "tree" / "all").exists, "the tree to grow")

    def keeper(self) -> int:
        [keeper] = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(keeper)

    def end(self) -> str:
        output, _ = self.process.communicate(timeout=30)
        return output.strip()


@pytest.mark.parametrize("trial", TRIALS)
@pytest.mark.parametrize("grouped", [True, False], ids=["cgroup", "subreaper"])
@pytest.mark.parametrize(
    ("how", "timeout_s", "ending"),
    [("return", 60, "return"), ("raise", 60, "exception"), ("segfault", 60, "crash"), ("hang", 4, "timeout")],
)
def test_no_process_is_left_when_a_worker(
    tmp_path: Path, grouped: bool, how: str, timeout_s: float, ending: str, trial: int
) -> None:
    host = Host(tmp_path, _prefix(grouped), how, timeout_s)
    assert host.end() == ending
    assert (tmp_path / "run" / "tree" / "all").exists()
    assert _left(tmp_path) == []


@pytest.mark.parametrize("trial", TRIALS)
@pytest.mark.parametrize("grouped", [True, False], ids=["cgroup", "subreaper"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_no_process_is_left_when_the_host_gets(
    tmp_path: Path, grouped: bool, number: signal.Signals, trial: int
) -> None:
    host = Host(tmp_path, _prefix(grouped), "hang")
    host.wait_for_tree()
    host.process.send_signal(number)
    host.end()
    wait_until(lambda: not _left(tmp_path), "all processes to be gone")


@pytest.mark.parametrize("trial", TRIALS)
@pytest.mark.parametrize("grouped", [True, False], ids=["cgroup", "subreaper"])
def test_no_process_is_left_when_the_keeper_is_killed(tmp_path: Path, grouped: bool, trial: int) -> None:
    host = Host(tmp_path, _prefix(grouped), "hang")
    host.wait_for_tree()
    os.kill(host.keeper(), signal.SIGKILL)
    assert host.end() == "crash"
    left = _left(tmp_path)
    if not grouped:  # it has no parent, no group, and another environment: documented in ARCHITECTURE.md
        [stray] = [process for process in left if "other-environment" in process]
        os.kill(int(stray.split()[0]), signal.SIGKILL)
        left.remove(stray)
    assert left == []


@pytest.mark.parametrize("trial", TRIALS)
def test_what_a_killed_host_and_keeper_leave_is_ended_by_the_next_host(tmp_path: Path, trial: int) -> None:
    host = Host(tmp_path, _prefix(grouped=True), "hang")
    host.wait_for_tree()
    keeper = host.keeper()
    os.kill(host.process.pid, signal.SIGSTOP)
    os.kill(keeper, signal.SIGKILL)
    os.kill(host.process.pid, signal.SIGKILL)
    host.end()
    assert _left(tmp_path), "it has the processes that aren't the worker"
    folder = cgroups.own_folder()
    assert folder is not None
    cgroups.sweep(folder)
    wait_until(lambda: not _left(tmp_path), "all processes to be gone")
