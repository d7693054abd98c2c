"""The file of a lock: what it may be, and what is left of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from lock_world import HOST, as_nobody

from isobench.errors import LockError
from isobench.system.locks import FileLock


def test_a_kept_file_is_empty_afterwards(file: Path) -> None:
    with FileLock(file, what="it", keep=True):
        assert file.read_text().startswith(f"{os.getpid()}\n{HOST}\t")
    assert file.read_text() == ""


def test_a_file_that_somebody_replaced_is_not_removed(file: Path) -> None:
    with FileLock(file, what="it"):
        file.unlink()
        file.write_text("another's")
    assert file.read_text() == "another's"


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_what_is_not_a_regular_file_is_refused(kind: str, file: Path) -> None:
    victim = file.with_name("victim")
    victim.write_text("precious")
    {"link": lambda: file.symlink_to(victim), "folder": file.mkdir, "fifo": lambda: os.mkfifo(file)}[kind]()
    with pytest.raises(LockError, match=re.escape(str(file))), FileLock(file, what="it"):
        pytest.fail("locked")
    assert victim.read_text() == "precious"


def test_a_file_in_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LockError, match="can't be opened") as caught, FileLock(tmp_path / "file" / "x.lock", what="it"):
        pytest.fail("locked")
    assert "ISOBENCH_HOME" in caught.value.hint


def test_a_folder_without_permission_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lock() -> None:
        with FileLock(Path("x.lock"), what="it"):
            pass

    tmp_path.chmod(0o555)
    monkeypatch.chdir(tmp_path)  # of pytest's folders, another user knows no path
    assert as_nobody(lock) == "x.lock can't be opened: Permission denied"
