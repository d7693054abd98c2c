"""Locks of devices, in a folder that every user of the machine can write to."""

from __future__ import annotations

import os
import re
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import odd_files
import pytest
from lock_world import HOST, Start, as_nobody, line

from isobench.errors import IsobenchError, LockHeldError, UsageError
from isobench.failures import Ending
from isobench.system import devices
from isobench.system.devices import Device

DEVICE = Device.parse("x86")
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
# Holds the lock of a file as another user would, with any content.
TAKE = """
import fcntl, os, sys
file, content, user = sys.argv[1:]
if int(user):
    os.setresuid(*[int(user)] * 3)
descriptor = os.open(file, os.O_RDWR)
fcntl.flock(descriptor, fcntl.LOCK_EX)
os.pwrite(descriptor, bytes.fromhex(content), 0)
print("held", flush=True)
sys.stdin.read()
"""
LIES = {
    "init": f"1\\n{HOST}\\troot\\t2026-01-02 14:03\\tinit\\n",
    "another process of ours": f"{os.getppid()}\\n{HOST}\\troot\\t2026-01-02 14:03\\tisobench\\n",
    "another host": "812\\nnode7\\tana\\t2026-01-02 14:03\\tisobench\\n",
    "an older form": "1\\nroot\\t2026-01-02 14:03\\tinit\\n",
    "a soft lock": f"1\\n{HOST}\\n",
    "a soft lock of another host": "812\\nnode7\\n1\\n",
    "a number without an end": "9" * 5000,
    "escapes": f"1\\n{HOST}\\t\\x1b]0;root\\x07\\t\\x9b2J\\t\\u202einit\\n",
    "no text": "\\x80\\xff\\n\\n\\n\\t\\t\\t",
    "nothing": "",
}


def _bytes(lie: str) -> bytes:
    return lie.encode().decode("unicode_escape").encode()


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The lock of DEVICE, which doesn't exist, in a folder for everybody."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        Path(name).chmod(0o755)
        folder = Path(name, "devices")
        folder.mkdir()
        folder.chmod(0o1777)
        monkeypatch.setenv("ISOBENCH_DEVICE_LOCKS", str(folder))
        yield folder / "x86.lock"


def refusal(timeout_s: float | None = 0) -> IsobenchError:
    with pytest.raises(IsobenchError) as caught, devices.exclusive(DEVICE, timeout_s=timeout_s):
        pytest.fail("locked")
    return caught.value


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_the_holder_is_the_process_that_the_kernel_names(file: Path, start: Start, lie: str) -> None:
    file.touch()
    file.chmod(0o666)
    user = 0 if os.getuid() else 65534
    holder = start(TAKE, file, _bytes(lie).hex(), user)
    assert line(holder) == "held"
    error = refusal()
    name = "nobody" if user else r"\S+"
    assert re.fullmatch(rf"x86 is not free: in use by pid {holder.pid} \({name}, python[\d.]*\)", error.message)
    assert (error.kind, error.exit_code) == (Ending.DEVICE_BUSY, 9)


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_what_a_free_lock_says_blocks_nobody(file: Path, lie: str) -> None:
    file.write_bytes(_bytes(lie))
    with devices.exclusive(DEVICE, timeout_s=0):
        assert file.read_text().startswith(f"{os.getpid()}\n{HOST}\t")
    assert file.read_text() == ""


def test_a_holder_that_the_kernel_does_not_show_is_not_named(
    file: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isobench.system import lock_holders

    file.touch()
    line(start(TAKE, file, _bytes(LIES["init"]).hex(), 0))
    monkeypatch.setattr(lock_holders, "_of_kernel", lambda _: 0)  # as in a container
    assert re.fullmatch(
        r"x86 is not free: in use by another process; the lock's file belongs to \S+", refusal().message
    )


def test_a_stopped_holder_is_reported_as_such(file: Path, start: Start) -> None:
    file.touch()
    holder = start(TAKE, file, "", 0)
    line(holder)
    holder.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, holder.pid, os.WSTOPPED)
    started_s = time.monotonic()
    error = refusal(0.2)
    assert time.monotonic() - started_s < 5
    assert error.message.startswith(f"x86 was not free within 0.2 s: in use by pid {holder.pid} (")
    assert error.message.endswith("; it is stopped")
    assert error.hint == "Without --wait, isobench waits until it is free."


def _link(file: Path) -> None:
    file.with_name("victim").write_text("precious")
    file.symlink_to("victim")


def _hard_link(file: Path) -> None:
    file.with_name("victim").write_text("precious")
    file.hardlink_to(file.with_name("victim"))


KINDS = {"link": _link, "hard link": _hard_link, **odd_files.MAKERS}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_of_its_own_is_refused_at_once(file: Path, kind: str) -> None:
    KINDS[kind](file)
    error = refusal(None)
    assert isinstance(error, UsageError)
    assert error.message.startswith(f"unsafe device lock: {file} ")
    assert "ISOBENCH_DEVICE_LOCKS" in error.hint
    assert not file.with_name("missing").exists()
    if (victim := file.with_name("victim")).exists():
        assert victim.read_text() == "precious"


@pytest.mark.parametrize("kind", ["link", "file", "fifo"])
def test_what_is_no_folder_is_refused(file: Path, kind: str) -> None:
    folder = file.parent
    moved = folder.rename(folder.with_name("moved"))
    {"link": lambda: folder.symlink_to("moved"), "file": folder.touch, "fifo": lambda: os.mkfifo(folder)}[kind]()
    assert "must be a folder" in refusal(None).message or "Not a directory" in refusal(None).message
    assert not (moved / file.name).exists()


def lock() -> None:
    with devices.exclusive(DEVICE, timeout_s=0):
        pass


@needs_root
def test_another_users_file_serves_if_it_can_be_read_and_is_named_with_its_owner_otherwise(file: Path) -> None:
    file.write_text("")
    file.chmod(0o644)
    assert as_nobody(lock) == ""
    with devices.exclusive(DEVICE, timeout_s=0):
        assert f"in use by pid {os.getpid()} (root, " in as_nobody(lock)
    file.chmod(0o600)
    assert as_nobody(lock) == f"unsafe device lock: {file} can't be opened: Permission denied; it belongs to root"


@needs_root
def test_a_folder_that_cannot_be_written_to_is_reported(file: Path) -> None:
    file.parent.chmod(0o755)
    assert as_nobody(lock) == f"unsafe device lock: {file} can't be opened: Permission denied"


def test_a_full_disk_leaves_the_lock_without_a_name(file: Path, start: Start) -> None:
    """The introduction isn't written, and the holder is known all the same."""
    code = (
        "import resource, sys\nfrom isobench.system import devices\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "with devices.exclusive(devices.Device.parse('x86')):\n    print('held', flush=True); sys.stdin.read()"
    )
    holder = start(code)
    assert line(holder) == "held"
    assert file.read_text() == ""
    with (
        pytest.raises(LockHeldError, match=rf"in use by pid {holder.pid} \(\S+, python[\d.]*\)"),
        devices.exclusive(DEVICE, timeout_s=0),
    ):
        pytest.fail("locked")
