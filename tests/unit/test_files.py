"""Files are replaced whole, and hashed in one way everywhere."""

from __future__ import annotations

import hashlib

import pytest

from isobench.system import files


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path, durable):
    file = tmp_path / "lock.txt"
    file.write_text("old")
    files.write_atomically(file, "new é", durable=durable)
    assert file.read_text(encoding="utf-8") == "new é"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_cannot_be_written_keeps_its_content(tmp_path):
    file = tmp_path / "lock.txt"
    file.mkdir()
    with pytest.raises(OSError, match="directory"):
        files.write_atomically(file, b"new")
    assert list(tmp_path.iterdir()) == [file]


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "data").write_bytes(b"abc" * 100_000)
    assert files.sha256(tmp_path / "data") == hashlib.sha256(b"abc" * 100_000).hexdigest()
