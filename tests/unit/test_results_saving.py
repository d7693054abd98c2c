from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sample_results import BLOCK, make, measured

from isobench import results
from isobench.errors import ResultError
from isobench.failures import Ending
from isobench.results import Result, index
from isobench.workers import protocol


def run_dir(folder: Path) -> Path:
    folder.mkdir()
    (folder / protocol.SAMPLES_FILE).write_bytes((4_000_000).to_bytes(8, "little") * BLOCK.samples)
    return folder


def listed(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def two() -> list[Result]:
    return [make("ort"), make("torch-eager")]


def saved_together(found: Sequence[Result], root: Path) -> Path:
    """What a process leaves that is killed when it has saved Results together, and has given none its folder."""
    together = root / f"{found[0].id}.0-1-2-3.saved"
    together.mkdir(parents=True)
    for one in found:
        results.save(one, root=root).rename(together / one.id)
    return together


def test_results_that_are_saved_together_have_a_folder_each_with_their_samples(
    root: Path, two: list[Result], tmp_path: Path
) -> None:
    dirs = [run_dir(tmp_path / one.runtime.name) for one in two]
    folders = results.save_together([(one, [place]) for one, place in zip(two, dirs, strict=True)], root=root)
    assert folders == [root / one.id for one in two]
    assert listed(root) == sorted(one.id for one in two)
    for one in two:
        assert [len(samples) for samples in results.samples_ns(one, root / one.id)] == [BLOCK.samples]
    assert not any(place.exists() for place in dirs)


def test_none_of_them_is_there_before_all_are_written(
    root: Path, two: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    rename = Path.rename

    def renamed(self: Path, target: Path) -> Path:
        seen.append(sorted(file.parent.name for file in root.glob("*/result.json")))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", renamed)
    results.save_together([(one, []) for one in two], root=root)
    assert seen == [[], [], [two[0].id]]


def test_one_that_can_not_be_saved_hinders_no_other(root: Path, two: list[Result], tmp_path: Path) -> None:
    wrong = make("trt", replace(measured(4.0), noise_floor=-1.0))
    place = run_dir(tmp_path / "run")
    error, *folders = results.save_together([(wrong, [place]), *[(one, []) for one in two]], root=root)
    assert isinstance(error, ResultError)
    assert error.kind is Ending.PROTOCOL
    assert (place / protocol.SAMPLES_FILE).exists()
    assert folders == [root / one.id for one in two]
    assert listed(root) == sorted(one.id for one in two)


def test_if_none_can_be_saved_nothing_is_left_in_the_folder(root: Path, two: list[Result], tmp_path: Path) -> None:
    dirs = [run_dir(tmp_path / one.runtime.name) for one in two]
    for one in two:
        (root / one.id).mkdir(parents=True)
        (root / one.id / "full").write_text("somebody else's")
    errors = results.save_together([(one, [place]) for one, place in zip(two, dirs, strict=True)], root=root)
    assert all(isinstance(error, ResultError) and "can't be saved" in error.message for error in errors)
    assert listed(root) == sorted(one.id for one in two)
    assert all((place / protocol.SAMPLES_FILE).exists() for place in dirs)


def test_nothing_is_saved_together(root: Path) -> None:
    assert results.save_together([], root=root) == []


@pytest.mark.parametrize("reader", ["files", "index", "load"])
def test_results_whose_process_was_killed_get_their_folders_from_whoever_reads(
    root: Path, two: list[Result], reader: str
) -> None:
    saved_together(two, root)
    names = sorted(one.id for one in two)
    if reader == "files":
        assert [file.parent.name for file in results.files(root)] == names
    elif reader == "index":
        assert sorted(one.name for one in index.rows(root)) == names
    else:
        assert results.load(names[1], root=root).id == names[1]
    assert listed(root) == names


def test_what_was_begun_of_that_is_finished(root: Path, two: list[Result]) -> None:
    together = saved_together(two, root)
    (together / two[0].id).rename(root / two[0].id)
    assert sorted(results.names(root)) == sorted(one.id for one in two)
    assert listed(root) == sorted(one.id for one in two)


def test_no_result_is_replaced_by_it_and_no_link_followed(root: Path, two: list[Result], tmp_path: Path) -> None:
    together = saved_together(two, root)
    shutil.copytree(together / two[0].id, root / two[0].id)
    (root / two[0].id / "mine").touch()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "file").touch()
    (root / "link.saved").symlink_to(tmp_path / "own")
    assert sorted(results.names(root)) == sorted(one.id for one in two)
    assert (root / two[0].id / "mine").exists()
    assert (together / two[0].id).exists()
    assert (tmp_path / "own" / "file").exists()


def test_a_folder_that_may_not_be_written_is_read(
    root: Path, two: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved_together(two, root)

    def refused(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refused)
    assert results.names(root) == []
