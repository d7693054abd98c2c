"""What a killed process has left is removed by the next one; what somebody uses, or nobody knows, stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from descriptors import few_descriptors

from isobench import paths
from isobench.system import leftovers
from isobench.system.leftovers import Owner

DAY_S = 86400
MAKE = """
import sys
from isobench import paths
made = paths.new_run(sys.argv[1])
made.mkdir(parents=True)
print(made, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def made_by_another(name: str = "ort", *, kill: bool = True) -> tuple[Path, subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    made = Path(process.stdout.readline().strip())
    if kill:
        process.kill()
        process.communicate()
    return made, process


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY_S
    os.utime(path, (then, then))


def test_a_run_directory_of_a_process_that_was_killed_is_removed() -> None:
    made, _ = made_by_another()
    (made / "build" / "deeper").mkdir(parents=True)
    (made / "worker.log").write_text("killed")
    leftovers.sweep()
    assert not made.exists()


def test_without_a_descriptor_to_look_nobody_counts_as_gone() -> None:
    made, _ = made_by_another()
    _ = paths.owner()
    with few_descriptors(0):
        alive, gone = (leftovers.owner_of(name) for name in (paths.new_run("ort").name, made.name))
    assert (alive, gone) == (Owner.UNKNOWN, Owner.UNKNOWN)
    assert leftovers.owner_of(paths.new_run("ort").name) is Owner.ALIVE


def test_one_of_a_process_that_lives_stays_however_old_it_is() -> None:
    made, process = made_by_another(kill=False)
    own = paths.new_run("ort")
    own.mkdir()
    age(made, 400)
    leftovers.sweep()
    assert made.is_dir()
    assert own.is_dir()
    process.communicate("")
    leftovers.sweep()
    assert not made.exists()
    assert own.is_dir()


def test_a_zombie_has_ended() -> None:
    made, process = made_by_another(kill=False)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert leftovers.owner_of(made.name) is Owner.GONE
    process.communicate()


def test_a_process_that_got_the_number_of_another_is_not_taken_for_it() -> None:
    *first, start = paths.owner().split("-")
    made = paths.runs() / f"ort-{'-'.join([*first, str(int(start) - 1)])}-abc123"
    made.mkdir(parents=True)
    leftovers.sweep()
    assert not made.exists()


@pytest.mark.parametrize("name", ["ort-4711-a1b2c3", "ort-1234abcd-4026531836-1-5-a1b2c3", "my own notes"])
def test_what_another_host_or_version_made_stays_for_days(name: str) -> None:
    made = paths.runs() / name
    made.mkdir(parents=True)
    age(made, 6)
    assert leftovers.owner_of(name) is Owner.UNKNOWN
    leftovers.sweep()
    assert made.is_dir()
    age(made, 8)
    leftovers.sweep()
    assert not made.exists()


def test_samples_that_could_not_be_saved_stay_and_so_does_a_log_for_days() -> None:
    made, _ = made_by_another()
    for name in ("samples.bin", "outputs.json"):
        (made / name).write_bytes(b"{}")
    log = made.with_suffix(".log")
    log.write_text("why it failed")
    leftovers.sweep()
    assert made.is_dir()
    assert log.is_file()
    assert list(leftovers.in_runs()) == [made, log]
    age(log, 8)
    leftovers.sweep()
    assert not log.exists()


def test_what_is_discarded_half_way_is_a_leftover_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, halfway = (paths.builds() / name for name in ("0123", "4567"))
    for build in (whole, halfway):
        (build / "weights").mkdir(parents=True)
        (build / "weights" / "part.bin").write_bytes(b"w")
    leftovers.discard(whole)
    assert not whole.exists()
    assert not list(paths.runs().iterdir())
    monkeypatch.setattr(leftovers, "remove", lambda path: None)  # as if it was killed then
    leftovers.discard(halfway)
    assert not halfway.exists()
    [left] = paths.runs().iterdir()
    assert (left / "weights" / "part.bin").read_bytes() == b"w"
    assert f"-{paths.owner()}-" in left.name
    assert leftovers.owner_of(left.name) is Owner.ALIVE


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    made, _ = made_by_another()
    made.rmdir()
    made.symlink_to(tmp_path)
    leftovers.sweep()
    assert not made.is_symlink()
    assert (tmp_path / "mine").is_file()


def test_after_a_fork_the_owner_is_the_child() -> None:
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, paths.owner().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100).decode().split("-")[2] == str(child)
    assert paths.owner().split("-")[2] == str(os.getpid())
    os.close(read)
    os.close(write)


def test_old_temporary_files_of_workers_are_removed(home: Path) -> None:
    paths.temporary().mkdir(parents=True)
    old, new = (paths.temporary() / name for name in ("ccOld.s", "ccNew.s"))
    for file in (old, new):
        file.touch()
    os.utime(old, (0, time.time() - 8 * DAY_S))
    leftovers.sweep()
    assert list(paths.temporary().iterdir()) == [new]
