"""The kernel's log names the processes that it has killed because memory ran out."""

from __future__ import annotations

from pathlib import Path

import pytest

from isobench.system import kernel_log

LOG = """\
6,1001,20000000,-;oom-kill:constraint=CONSTRAINT_NONE,task=python,pid=4711,uid=0
3,1002,20000001,-;Out of memory: Killed process 4711 (python) total-vm:276648kB, anon-rss:211128kB
3,1003,90000000,-;Memory cgroup out of memory: Killed process 4712 (python) total-vm:276648kB
4,1004,90000001,-;process 4713 complained
"""


@pytest.mark.parametrize(
    ("pid", "since_s", "killed"),
    [(4711, 19.0, True), (4711, 60.0, False), (4712, 60.0, True), (4713, 0.0, False), (471, 0.0, False)],
)
def test_a_process_is_found_if_it_was_killed_since(tmp_path: Path, pid: int, since_s: float, killed: bool) -> None:
    log = tmp_path / "kmsg"
    for entry in LOG.splitlines():
        log.write_text(entry)
        if kernel_log.killed_for_memory(pid, since_s=since_s, log=str(log)):
            assert killed
            return
    assert not killed


def test_a_log_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    assert not kernel_log.killed_for_memory(1, since_s=0, log=str(tmp_path / "missing"))
