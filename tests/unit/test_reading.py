from __future__ import annotations

import os
from pathlib import Path

import pytest

from isobench.system import reading


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_a_text_has_no_mark_and_newlines_of_one_kind(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert reading.read_text(file) == "a\nb\nc\n"
    file.write_bytes(b"\xff")
    assert reading.read_text(file, errors="replace") == "\ufffd"
    with pytest.raises(UnicodeDecodeError):
        reading.read_text(file)


def test_what_is_no_regular_file_is_not_read(file: Path) -> None:
    os.mkfifo(file)
    for place in (file, Path("/dev/zero"), file.parent, Path("a\0b"), file / "below", Path("x" * 5000)):
        with pytest.raises(OSError):  # noqa: PT011 - of many reasons
            reading.read_bytes(place)


def test_a_file_has_a_limited_size(file: Path) -> None:
    file.write_bytes(bytes(100))
    assert len(reading.read_bytes(file, most_bytes=100)) == 100
    with pytest.raises(OSError, match="at most 99 bytes"):
        reading.read_bytes(file, most_bytes=99)


def test_what_is_nested_too_deeply_is_a_wrong_content(file: Path) -> None:
    file.write_text("[" * 200_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        reading.read_json(file)
    file.write_text("a = " + "[" * 50_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        reading.read_toml(file)


def test_a_name_that_is_too_long_does_not_exist(file: Path) -> None:
    assert reading.exists(file.parent)
    assert not reading.exists("x" * 5000)
    assert not reading.is_folder("a\0b")
