"""What a worker can't reach or exceed: the network, memory, the host's environment, the size of its log."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefixes import NO_GROUPS, works
from tests.integration.test_worker import SAMPLES, Run

from isobench.errors import WorkerError
from isobench.failures import Ending
from isobench.supervisor import worker_process
from isobench.supervisor.request import Request
from isobench.system import cgroups, process
from isobench.workers import protocol

pytestmark = pytest.mark.integration

LIMIT_BYTES = 128 << 20
ROOT = Path(__file__).parents[2]

HOST = f"""
import json, sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests" / "tools")!r}]
from pathlib import Path
from isobench.errors import WorkerError
from tests.integration.test_worker import Run
from tests.integration.test_worker_surroundings import look
try:
    print(json.dumps(dict(look(Run(Path(sys.argv[1])), **json.loads(sys.argv[2])))))
except WorkerError as error:
    print(json.dumps([error.kind, error.message]))
"""
NO_PRIVILEGES = ["setpriv", "--bounding-set=-sys_admin"]
NO_USERS = ["unshare", "--mount", "sh", "-c", 'mount -o remount,bind,ro /proc && exec "$@"', "sh", *NO_PRIVILEGES]
"""A user namespace can be made, but not set up, as where AppArmor restricts those of users."""


def look(run: Run, *, first: str = "", **how: Any) -> Any:
    """What the worker reports."""
    with worker_process.start(run.environment, SAMPLES / "surroundings.py", run.run_dir, threads=1, **how) as started:
        arguments = {"output_dir": str(run.run_dir), "first": first}
        started.go(Request(arguments=arguments, threads=1, seed=0), timeout_s=60)
        return started.finish(run.stages.append).raw


def look_by(prefix: list[str], folder: Path, **how: Any) -> Any:
    """The same from a host that is started by another program."""
    if not works(prefix):
        pytest.skip(f"this user can't run {prefix[0]}")
    argv = [*prefix, sys.executable, "-c", HOST, str(folder), json.dumps(how)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, cwd="/", timeout=60)
    return json.loads(done.stdout)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def isolated(report: Any) -> bool:
    """Was the network taken? If not, the reason must be the kernel's."""
    if report["network"]["network"] == "open":
        assert "the kernel refuses" in report["network"]["network_reason"]
        return False
    assert report["network"] == {"network": "loopback"}
    assert report["interfaces"][0] == "lo"
    assert report["elsewhere"] == errno.ENETUNREACH
    return True


def test_a_measuring_worker_has_loopback_alone(run: Run) -> None:
    assert isolated(look(run, network=False)) or os.getuid()


def test_without_privileges_the_network_is_taken_in_a_user_namespace(tmp_path: Path) -> None:
    report = look_by(NO_PRIVILEGES, tmp_path, network=False)
    if isolated(report):
        assert report["users"] == [str(os.getuid()), str(os.getuid()), "1"]
    assert report["user"] == os.getuid()


def test_a_network_that_cannot_be_set_up_is_not_taken(tmp_path: Path) -> None:
    report = look_by(NO_USERS, tmp_path, network=False)
    assert report["network"]["network"] == "open"
    assert "the kernel refuses" in report["network"]["network_reason"]
    assert report["users"] == Path("/proc/self/uid_map").read_text().split(), "those of its host"
    assert report["user"] == os.getuid()


def test_a_worker_that_may_need_the_network_has_it(run: Run) -> None:
    assert look(run)["network"] == {"network": "open", "network_reason": "the runtime may need it"}


def test_a_worker_cannot_read_the_hosts_environment_from_its_parent(tmp_path: Path) -> None:
    report = look_by(["env", "A_SECRET=of the host"], tmp_path)
    assert "ISOBENCH_TREE=" in report["parent"]
    assert "A_SECRET" not in report["parent"]


def test_a_memory_limit_is_that_of_a_control_group_where_one_can_be_made(run: Run) -> None:
    group = cgroups.create_limited(LIMIT_BYTES)
    if group is None:
        pytest.skip("this user can't limit memory by control groups")
    group.remove()
    resources = {"memory_limit_bytes": LIMIT_BYTES}
    assert look(run, resources=resources)["limits"]["memory_limit"] == {"bytes": LIMIT_BYTES, "by": "cgroup"}
    shutil.rmtree(run.run_dir)
    with pytest.raises(WorkerError, match="its control group counts 1 such kill") as caught:
        look(run, first="eat", resources=resources)
    assert caught.value.kind is Ending.OUT_OF_MEMORY


def test_else_it_is_that_of_the_address_space(tmp_path: Path) -> None:
    limit_bytes = 3 * LIMIT_BYTES  # what the steady heap reserves counts, too
    resources = {"memory_limit_bytes": limit_bytes}
    report = look_by(NO_GROUPS, tmp_path, resources=resources)
    assert report["limits"]["memory_limit"] == {"bytes": limit_bytes, "by": "address space"}
    shutil.rmtree(tmp_path / "run")
    kind, message = look_by(NO_GROUPS, tmp_path, resources=resources, first="eat")
    assert kind == "out-of-memory"
    assert "MemoryError" in message


def test_a_kill_is_no_lack_of_memory_though_another_process_lacks_it(run: Run, tmp_path: Path) -> None:
    with worker_process.start(run.environment, SAMPLES / "surroundings.py", run.run_dir, threads=1) as started:
        with pytest.raises(WorkerError):
            look(Run(tmp_path / "other"), first="eat", resources={"memory_limit_bytes": LIMIT_BYTES})
        arguments = {"output_dir": str(run.run_dir), "first": "kill itself"}
        started.go(Request(arguments=arguments, threads=1, seed=0), timeout_s=60)
        with pytest.raises(WorkerError, match="was killed by SIGKILL") as caught:
            started.finish(run.stages.append)
        assert caught.value.kind is Ending.CRASH
        assert started.oom_evidence() == ""


def test_a_long_log_is_cut_to_its_beginning_and_its_end(run: Run) -> None:
    with pytest.raises(WorkerError, match="ValueError: drowned"):
        look(run, first="print")
    log = (run.run_dir / protocol.LOG_FILE).read_bytes()
    assert len(log) < 2.1 * (1 << 20)
    assert log.startswith(b"the first line\n")
    assert b"the last line\n" in log
    left_out = int(log.partition(b"[isobench left out ")[2].split()[0])
    note = len(b"\n[isobench left out  bytes of this log here]\n") + len(str(left_out))
    assert len(log) - note + left_out > 90 << 20


@pytest.mark.parametrize("first", ["fifo", "link"])
def test_whatever_stands_in_place_of_the_log_blocks_nothing(run: Run, first: str) -> None:
    with pytest.raises(WorkerError, match="exited with code 3") as caught:
        look(run, first=first)
    assert caught.value.details == ""
    assert process.tail(run.run_dir / protocol.LOG_FILE) == ""
