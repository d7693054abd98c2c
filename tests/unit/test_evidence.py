"""A build is measured only as it was made: each of its files, changed in each way, is noticed before."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import odd_files
import pytest
from sample_builds import make

from isobench import paths
from isobench.builds import cache, evidence
from isobench.builds.build import Build
from isobench.errors import ChangedBuildError


@pytest.fixture(autouse=True)
def home(home_in_memory: Path) -> Path:
    return home_in_memory


def _flip(file: Path) -> None:
    """Another content of the same size, with the time of modification of the first."""
    about = file.stat()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))


def _link(file: Path) -> None:
    copy = file.with_name("copy")
    file.rename(copy)
    file.symlink_to(copy)


def _odd(kind: str) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        file.unlink()
        odd_files.MAKERS[kind](file)

    return change


WAYS: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped": (_flip, "was changed"),
    "cut off": (lambda file: os.truncate(file, 3), "has 3 bytes instead of"),
    "longer": (lambda file: file.write_bytes(file.read_bytes() + b"\0"), "has "),
    "empty": (lambda file: file.write_bytes(b""), "has 0 bytes instead of"),
    "missing": (lambda file: file.unlink(), "is missing"),
    "link": (_link, "isn't a regular file"),
    **{kind: (_odd(kind), "isn't a regular file") for kind in odd_files.MAKERS},
}
FILES = (
    "model.onnx",
    "weights/part.bin",
    "inputs.msgpack",
    "expected.msgpack",
    "unstable.msgpack",
    "../onnx/c0/a.onnx",
)


def stored(home: Path, script: Path) -> Build:
    folder = home / "runs" / "made"
    (folder / "weights").mkdir(parents=True)
    for name in FILES[:-1]:
        (folder / name).write_bytes(f"content of {name}".encode())
    shared = paths.builds() / "onnx" / "c0" / "a.onnx"
    shared.parent.mkdir(parents=True, exist_ok=True)
    shared.write_bytes(b"shared with others")
    return cache.store(make(script), folder, besides=[shared])


def test_each_file_of_a_build_is_recorded_with_its_hash(home: Path, script: Path) -> None:
    made = stored(home, script)
    assert {one.name for one in made.files} == {*FILES}
    assert all(len(one.sha256) == 64 and one.size_bytes for one in made.files)
    made.verify()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_was_changed_is_noticed_at_the_look_up(home: Path, script: Path, name: str, way: str) -> None:
    made = stored(home, script)
    cache.remember("k", [made], [])
    notes: list[str] = []
    assert cache.look_up("k", made.model, on_note=notes.append)
    assert not notes
    change, text = WAYS[way]
    change(made.folder / name)
    assert cache.look_up("k", made.model, on_note=notes.append) is None
    [note] = notes
    assert f"{name} {text}" in note
    with pytest.raises(ChangedBuildError, match=text):
        made.verify()


def test_a_file_of_another_set_of_inputs_counts_as_well(home: Path, script: Path) -> None:
    other = stored(home, script)
    made = replace(other, id="f" * 16, folder=paths.builds() / ("f" * 16), files=(), sets=(other,))
    cache.remember("k", [made], [])
    assert cache.look_up("k", made.model)
    _flip(other.inputs_file)
    assert cache.look_up("k", made.model) is None


def test_what_is_corrupted_is_replaced_by_what_is_stored_again(home: Path, script: Path) -> None:
    for change, _ in WAYS.values():
        made = stored(home, script)
        change(made.inputs_file)
        stored(home, script).verify()
    assert not list(paths.runs().iterdir())


def test_a_whole_build_that_is_stored_already_stays(home: Path, script: Path) -> None:
    made = stored(home, script)
    before = made.inputs_file.stat().st_ino
    stored(home, script)
    assert made.inputs_file.stat().st_ino == before


def test_a_file_that_changed_under_an_old_record_is_found_by_its_hash_before_it_is_measured(
    home: Path, script: Path
) -> None:
    made = stored(home, script)
    cache.remember("k", [made], [])
    _flip(made.inputs_file)
    record = paths.builds() / "index" / "k.json"
    os.utime(record, ns=(2**62, 2**62))  # as if the disk had lost a bit: no inode says so
    [found] = cache.look_up("k", made.model) or []
    with pytest.raises(ChangedBuildError, match=r"inputs\.msgpack was changed"):
        found.verify()


def test_after_a_measurement_what_was_removed_is_no_problem_and_what_was_changed_is(home: Path, script: Path) -> None:
    made = stored(home, script)
    made.expected_file.unlink()
    made.verify_again()
    _flip(made.inputs_file)
    with pytest.raises(ChangedBuildError, match=r"inputs\.msgpack was changed"):
        made.verify_again()


def test_a_script_that_has_changed_since_is_not_measured_as_if_it_had_not(home: Path, script: Path) -> None:
    made = replace(stored(home, script), model_sha256=evidence.sha256(script))
    made.verify(script=True)
    script.write_text("import torch  # something else\n")
    made.verify()
    with pytest.raises(ChangedBuildError, match="has changed since it was built"):
        made.verify(script=True)


def test_a_build_without_hashes_is_not_found(home: Path, script: Path) -> None:
    made = stored(home, script)
    cache.remember("k", [made], [])
    record = paths.builds() / "index" / "k.json"
    record.write_text(record.read_text().replace('"files"', '"documents"'))
    assert cache.look_up("k", made.model) is None


def test_a_look_up_notes_when_a_build_was_used(home: Path, script: Path) -> None:
    made = stored(home, script)
    cache.remember("k", [made], [])
    os.utime(made.folder, (0, 0))
    assert cache.look_up("k", made.model)
    assert cache.last_used_s(made.folder) > made.inputs_file.stat().st_mtime - 10
