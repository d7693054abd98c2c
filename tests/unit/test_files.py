"""Files are replaced whole, and hashed in one way everywhere."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from isobench.system import files


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path, durable: bool) -> None:
    file = tmp_path / "lock.txt"
    file.write_text("old")
    files.write_atomically(file, "new é", durable=durable)
    assert file.read_text(encoding="utf-8") == "new é"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_cannot_be_written_keeps_its_content(tmp_path: Path) -> None:
    file = tmp_path / "lock.txt"
    file.mkdir()
    with pytest.raises(OSError, match="directory"):
        files.write_atomically(file, b"new")
    assert list(tmp_path.iterdir()) == [file]


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"abc" * 100_000)
    assert files.sha256(tmp_path / "data") == hashlib.sha256(b"abc" * 100_000).hexdigest()


@pytest.mark.parametrize("size", [0, 5, files.SMALL_BYTES, files.SMALL_BYTES + 1])
def test_hashes_are_the_same_with_and_without_openssl(tmp_path: Path, size: int) -> None:
    content, file = bytes(size), tmp_path / "file"
    file.write_bytes(content)
    wanted = hashlib.sha256(content).hexdigest()
    code = (
        "import sys; from isobench.system import files; from pathlib import Path\n"
        "print(files.sha256(sys.argv[1]), 'hashlib' in sys.modules)\n"
        "print(files.sha256_of(Path(sys.argv[1]).read_bytes()))"
    )
    said = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True).stdout.split()
    assert said == [wanted, str(size > files.SMALL_BYTES), wanted]
    assert files.sha256(file) == files.sha256_of(content) == wanted


def test_a_file_system_that_cannot_sync_a_file_is_no_failure() -> None:
    status = Path("/proc/self/status")
    descriptor = os.open(status, os.O_RDONLY)
    with pytest.raises(OSError, match="Invalid argument"):
        os.fsync(descriptor)
    os.close(descriptor)
    files.sync(status)


def test_a_descriptor_is_hashed_and_closed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    assert files.sha256(descriptor) == hashlib.sha256(b"content").hexdigest()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_the_hash_of_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for name in ("pipe", "device"):
        with pytest.raises(OSError, match="not a regular file"):
            files.sha256(tmp_path / name)
