"""The file lock: one works, the others wait; it holds as long as anybody who works under it lives."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from isobench.environments.file_lock import FileLock
from isobench.errors import ProvisionError


def test_the_second_waits_for_the_first_and_reports_for_whom(tmp_path: Path) -> None:
    lock_file = tmp_path / "x.lock"
    order: list[str] = []
    said: list[str] = []

    def second() -> None:
        with FileLock(lock_file, making="ort", progress=said.append):
            order.append("second")

    with FileLock(lock_file, making="ort", progress=said.append):
        thread = threading.Thread(target=second)
        thread.start()
        while not said:
            time.sleep(0.01)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert said == [f"waiting for another isobench (pid {os.getpid()}) that is making ort"]
    assert not lock_file.exists()


def test_the_lock_outlives_its_holder_while_a_child_works_under_it(tmp_path: Path) -> None:
    lock_file, go = tmp_path / "x.lock", tmp_path / "go"
    code = (
        "import os, subprocess\nfrom pathlib import Path\nfrom isobench.environments.file_lock import FileLock\n"
        f"with FileLock(Path({str(lock_file)!r}), making='ort', progress=print) as lock:\n"
        f"    subprocess.Popen(['/bin/sh', '-c', 'until [ -e {go} ]; do sleep 0.02; done'], pass_fds=[lock])\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    said: list[str] = []

    def progress(line: str) -> None:
        said.append(line)
        go.touch()

    with FileLock(lock_file, making="ort", progress=progress):
        assert len(said) == 1, "it was waited for until the child had ended"


def test_many_threads_are_never_in_at_once(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with FileLock(tmp_path / "x.lock", making="it", progress=lambda _line: None):
                inside += 1
                most = max(most, inside)
                time.sleep(0.002)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_file_in_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ProvisionError, match="can't be created") as caught,
        FileLock(tmp_path / "file" / "x.lock", making="it", progress=print),
    ):
        pass
    assert "ISOBENCH_HOME" in caught.value.hint
