from __future__ import annotations

import os
from pathlib import Path

import pytest
import sample_sweeps

from isobench import paths
from isobench.errors import UsageError
from isobench.sweeps import finding
from isobench.sweeps.folder import SweepFolder, results_in
from isobench.sweeps.journal import What


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))


def sweep(name: str, age_s: int, sha256: str = "5" * 64) -> SweepFolder:
    made = sample_sweeps.folder(paths.sweeps() / name, sample_sweeps.task(), suite_sha256=sha256)
    when = 1_800_000_000 - age_s
    os.utime(made.path / "sweep.json", (when, when))
    return made


def test_the_newest_sweep_is_the_one_that_was_started_last() -> None:
    sweep("zoo", 100)
    sweep("bert", 1)
    assert finding.newest().path.name == "bert"


def test_without_a_sweep_the_error_says_how_to_start_one() -> None:
    with pytest.raises(UsageError, match="there is no sweep in") as caught:
        finding.newest()
    assert "isobench sweep SUITE.toml" in caught.value.hint


def test_an_unfinished_sweep_of_the_same_suite_is_found() -> None:
    sweep("other", 1, sha256="6" * 64)
    sweep("finished", 2).journal.write(What.FINISHED)
    sweep("begun", 3).journal.write(What.STARTED)
    found = finding.unfinished("5" * 64)
    assert found is not None
    assert found.path.name == "begun"


def test_a_sweep_that_is_retried_is_unfinished_until_that_ends() -> None:
    folder = sweep("night", 1)
    folder.journal.write(What.STARTED)
    folder.journal.write(What.FINISHED)
    assert finding.unfinished("5" * 64) is None
    folder.journal.write(What.STARTED)
    assert finding.unfinished("5" * 64) is not None


def test_a_sweep_in_another_folder_is_named_by_its_path(tmp_path: Path) -> None:
    assert finding.reference(sweep("night", 1)) == "night"
    apart = sample_sweeps.folder(tmp_path / "my sweeps" / "night", sample_sweeps.task())
    assert finding.reference(apart) == f"'{tmp_path}/my sweeps/night'"


def test_a_user_without_a_home_can_name_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_cls: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    apart = sample_sweeps.folder(tmp_path / "night", sample_sweeps.task())
    monkeypatch.setattr(Path, "home", classmethod(nobody))
    assert finding.reference(apart) == f"{tmp_path}/night"


def test_the_results_of_a_sweep_are_in_its_folder() -> None:
    folder = sweep("night", 1)
    assert results_in(folder.path) == folder.results
    assert results_in(folder.results) == folder.results


def test_a_sweep_that_can_not_be_read_is_not_found_and_hinders_no_other() -> None:
    first = sweep("first", 9)
    for name, content in (("second", b"{"), ("third", first.sweep.suite_sha256.encode())):
        (sweep(name, 5).path / "sweep.json").write_bytes(content)
    fifo = sweep("fourth", 4).path / "sweep.json"
    fifo.unlink()
    os.mkfifo(fifo)
    found = finding.unfinished(first.sweep.suite_sha256)
    assert found is not None
    assert found.path == first.path
