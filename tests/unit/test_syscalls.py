"""The tracer of tests/tools/syscalls.py does what the trials of tests/reliability rely on."""

from __future__ import annotations

import errno
import signal
import sys
from pathlib import Path

import pytest
import syscalls

pytestmark = pytest.mark.skipif(bool(syscalls.unavailable()), reason=syscalls.unavailable())

WRITES = """
import pathlib, subprocess, sys
folder = pathlib.Path(sys.argv[1])
(folder / "first").write_text("1")
(folder / "second").write_text("2")
(folder / "first").rename(folder / "third")
subprocess.run([sys.executable, "-c", f"open({str(folder / 'child')!r}, 'w').close()"])
"""


def writes(folder: Path, **options: object) -> syscalls.Traced:
    return syscalls.trace([sys.executable, "-S", "-c", WRITES, folder], only="changes", after=f"{folder}/", **options)


def test_the_calls_of_a_program_and_of_its_children_are_logged(tmp_path: Path) -> None:
    traced = writes(tmp_path)
    found = [(call.is_host, call.number, call.name, Path(call.path).name) for call in traced.calls]
    assert (traced.returncode, traced.counted) == (0, 5)
    assert found == [
        (True, 1, "openat", "first"),
        (True, 2, "write", "first"),
        (True, 3, "openat", "second"),
        (True, 4, "write", "second"),
        (True, 5, "rename", "third"),
        (False, 0, "openat", "child"),
    ]


def test_one_call_fails_and_the_others_do_not(tmp_path: Path) -> None:
    traced = writes(tmp_path, fail=(5, errno.EIO))
    assert "OSError: [Errno 5]" in traced.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["first", "second"]
    assert traced.calls[-1].result == -errno.EIO


def test_the_program_is_killed_before_a_call(tmp_path: Path) -> None:
    traced = writes(tmp_path, kill=4)
    assert traced.returncode == -signal.SIGKILL
    assert (tmp_path / "second").read_text() == ""


def test_a_connection_is_logged_with_its_address() -> None:
    code = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    traced = syscalls.trace([sys.executable, "-c", code], only="network", everybody=True)
    assert ("connect", "inet 127.0.0.1 port 9") in [(call.name, call.path) for call in traced.calls]
