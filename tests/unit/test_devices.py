from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from isobench import paths
from isobench.errors import LockHeldError, UsageError
from isobench.system import devices
from isobench.system.devices import Device
from isobench.workers import machine

HOLD = """
import sys
from isobench.system.devices import Device, exclusive
with exclusive(Device.parse(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOBENCH_DEVICE_LOCKS", str(tmp_path / "locks"))
    return tmp_path / "locks"


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds x86 until its standard input is closed."""
    command = [sys.executable, "-c", HOLD, "x86"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("text", "family", "part", "config"),
    [
        ("x86", "x86", "", ""),
        ("nvidia::h100", "nvidia", "h100", ""),
        ("nvidia::h100::mig-1g.10gb", "nvidia", "h100", "mig-1g.10gb"),
    ],
)
def test_a_device_is_family_part_and_configuration(text: str, family: str, part: str, config: str) -> None:
    device = Device.parse(text)
    assert device == Device(family=family, part=part, config=config)
    assert str(device) == text


@pytest.mark.parametrize("text", ["", "::", "x86::", "x86::::fast", "x86::a::b::c", "x86/..", "x86 ", "x86::../a"])
def test_a_malformed_name_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(UsageError, match="--device must be FAMILY") as caught:
        Device.parse(text)
    assert "The families are: x86, cpu, nvidia." in caught.value.hint


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown family 'riscv'") as caught:
        Device.parse("riscv")
    assert "x86, cpu, nvidia" in caught.value.hint


def test_a_plugin_may_add_families() -> None:
    assert Device.parse("npu::one", families=("npu",)).part == "one"


def test_the_cores_are_those_of_the_affinity() -> None:
    everything = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(everything)})
        assert devices.default_threads() == 1
    finally:
        os.sched_setaffinity(0, everything)
    assert 1 <= devices.default_threads() <= len(everything)


@pytest.mark.parametrize(("quota", "expected"), [(0.5, 1), (2.9, 2), (100.0, 4), (None, 4)])
def test_a_quota_lowers_the_thread_number_and_never_below_one(
    quota: float | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The machine's own quota can't be set without privileges.
    monkeypatch.setattr(machine, "cpus", lambda: (0, 1, 2, 3, 4, 5, 6, 7))
    monkeypatch.setattr(machine, "physical_cores", lambda _: (0, 1, 2, 3))
    monkeypatch.setattr(machine, "cpu_quota", lambda: (quota, ""))
    assert devices.default_threads() == expected


def test_a_free_device_is_locked_at_once_and_released(locks: Path) -> None:
    waits: list[str] = []
    for _ in range(2):
        with devices.exclusive(Device.parse("x86"), on_wait=waits.append):
            assert str(os.getpid()) in (locks / "x86.lock").read_text()
    assert waits == []
    assert (locks / "x86.lock").read_text() == ""


def test_who_waits_is_shown_who_holds_the_device(holder: subprocess.Popen[bytes]) -> None:
    waits: list[str] = []

    def on_wait(message: str) -> None:
        waits.append(message)
        threading.Timer(0.1, holder.stdin.close).start()

    with devices.exclusive(Device.parse("x86::epyc"), on_wait=on_wait):
        pass
    pattern = rf"x86::epyc is in use by pid {holder.pid} \(\S+, \S+\) since \d\d:\d\d; waiting"
    assert len(waits) == 1
    assert re.fullmatch(pattern, waits[0])


def test_waiting_ends_when_the_time_is_up(holder: subprocess.Popen[bytes]) -> None:
    with (
        pytest.raises(LockHeldError, match=rf"x86 was not free within 0\.1 s: .* pid {holder.pid} "),
        devices.exclusive(Device.parse("x86"), timeout_s=0.1),
    ):
        pytest.fail("held twice")


def test_waiting_with_a_limit_ends_as_soon_as_the_device_is_free(holder: subprocess.Popen[bytes]) -> None:
    with devices.exclusive(Device.parse("x86"), timeout_s=30, on_wait=lambda _: holder.stdin.close()):
        assert holder.wait(timeout=5) == 0


def test_the_processor_is_one_device_by_both_its_names(holder: subprocess.Popen[bytes]) -> None:
    with pytest.raises(LockHeldError, match="cpu is not free"), devices.exclusive(Device.parse("cpu"), timeout_s=0):
        pytest.fail("held twice")


def test_another_family_is_not_waited_for(holder: subprocess.Popen[bytes]) -> None:
    with devices.exclusive(Device.parse("nvidia"), timeout_s=0):
        assert holder.poll() is None


def test_a_killed_holder_releases_the_device(holder: subprocess.Popen[bytes]) -> None:
    holder.kill()
    holder.wait()
    with devices.exclusive(Device.parse("x86"), timeout_s=0):
        pass


def test_an_exception_releases_the_device() -> None:
    with pytest.raises(KeyError), devices.exclusive(Device.parse("x86")):
        raise KeyError
    with devices.exclusive(Device.parse("x86"), timeout_s=0):
        pass


def test_every_user_can_lock_whatever_the_umask(locks: Path) -> None:
    before = os.umask(0o077)
    try:
        with devices.exclusive(Device.parse("x86")):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(locks.stat().st_mode) == 0o1777
    assert stat.S_IMODE((locks / "x86.lock").stat().st_mode) == 0o666


@pytest.mark.parametrize("link", ["symbolic", "hard", "dangling"])
def test_a_link_instead_of_the_lock_is_refused_and_its_target_is_unchanged(
    link: str, locks: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    locks.mkdir()
    if link != "dangling":
        victim.write_text("precious")
    if link == "hard":
        (locks / "x86.lock").hardlink_to(victim)
    else:
        (locks / "x86.lock").symlink_to(victim)
    with pytest.raises(UsageError, match="unsafe device lock") as caught, devices.exclusive(Device.parse("x86")):
        pytest.fail("locked")
    assert "ISOBENCH_DEVICE_LOCKS" in caught.value.hint
    assert victim.read_text() == "precious" if link != "dangling" else not victim.exists()


def test_a_link_instead_of_the_folder_is_refused(locks: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    locks.symlink_to(tmp_path / "target")
    with pytest.raises(UsageError, match="must be a folder"), devices.exclusive(Device.parse("x86")):
        pytest.fail("locked")
    assert list((tmp_path / "target").iterdir()) == []


def test_what_another_user_wrote_cannot_steer_the_terminal(locks: Path, holder: subprocess.Popen[bytes]) -> None:
    (locks / "x86.lock").write_text("1\t\x1b[2Jmallory\t12:00\tisobench")
    waits: list[str] = []
    with (
        pytest.raises(LockHeldError, match="not free"),
        devices.exclusive(Device.parse("x86"), timeout_s=0.01, on_wait=waits.append),
    ):
        pytest.fail("held twice")
    assert "\x1b" not in waits[0]
    assert "mallory" not in waits[0]
    assert f"pid {holder.pid} " in waits[0]


def test_the_locks_are_in_one_folder_for_the_whole_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ISOBENCH_DEVICE_LOCKS")
    folder = paths.devices()
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert paths.devices() == folder
    assert folder.parent.stat().st_mode & 0o1777 == 0o1777
