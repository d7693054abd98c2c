"""The index of results: it says what the files say, whatever happened to it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sample_results import HOST, make, measured

from isobench import paths, results
from isobench.failures import FailureKind
from isobench.planning.models import Step
from isobench.planning.plan import SweepPlace
from isobench.results import Failed, Measured, Provenance, Result, index, row

SAMPLES = Path(__file__).parents[1] / "samples" / "results"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(index, "SMALL", 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results"


def named(number: int, **changes: object) -> Result:
    started = f"2026-01-01T00:00:{number:02}.000+00:00"
    return make(**{"id": f"20260101T0000{number:02}-net-ort-0001", "started_at": started} | changes)


PLACE = SweepPlace(sweep="night", task="net-3f2a", axes={"batch": 8}, labels={"team": "a"}, repeat=2, attempt=3)
KINDS = {
    "measured": make(provenance=Provenance(host=HOST), case_key="12ab"),
    "wrong": make(outcome=measured(4.0, ok=False, reasons=("far off",))),
    "failed": make(
        outcome=Failed(kind=FailureKind.CRASH, message='it "crashed"\n in two lines', details='{\n "x": 1\n}')
    ),
    "sweep": make(sweep=PLACE),
    "altered": make(steps=(Step(tool="convert-fp16", options={"keep_io": True}, alters=True), Step(tool="benchmark"))),
    "saves figures": make(outcome=replace(measured(4.0), stats={"tokens": 5, "cost": {"a": 1}})),
    "named oddly": make(model=replace(make().model, name='n\u00e4t "1"', env={"A": "1\n2"}, script_args=("--x", "{"))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_index_agrees_with_the_decoded_result(root: Path, kind: str) -> None:
    folder = results.save(KINDS[kind], root=root)
    [found] = index.rows(root)
    assert found == row.of(results.load(str(folder)))
    assert row.read((folder / results.RESULT_FILE).read_bytes(), folder.name) == found


def test_a_row_has_the_figures_of_its_result(root: Path) -> None:
    result = make(provenance=Provenance(host=HOST), sweep=PLACE)
    assert isinstance(result.outcome, Measured)
    results.save(result, root=root)
    [found] = index.rows(root)
    assert (found.mean_s, found.median_s) == (result.latency.mean_s, result.latency.median_s)
    assert (found.status, found.verdict, found.outputs) == ("measured", "clean", "correct")
    assert (found.hostname, found.cpu, found.duration_s) == ("one", "A CPU", 1.0)
    assert (found.sweep, found.task, found.attempt, found.repeat) == ("night", "net-3f2a", 3, 2)


@pytest.mark.parametrize("sample", ["schema-2-measured.json", "schema-2-failed.json", "schema-2-exactly.json"])
@pytest.mark.parametrize("indent", [1, None])
def test_an_older_schema_is_read_however_it_is_written(root: Path, sample: str, indent: int | None) -> None:
    (root / "a").mkdir(parents=True)
    file = root / "a" / results.RESULT_FILE
    file.write_text(json.dumps(json.loads((SAMPLES / sample).read_text()), indent=indent) + "\n")
    [found] = index.rows(root)
    assert found == row.of(results.load(str(file)), "a")


def test_results_that_are_new_changed_or_gone_are_noticed(root: Path) -> None:
    folders = [results.save(named(number), root=root) for number in range(3)]
    assert [one.name for one in index.rows(root)] == [folder.name for folder in reversed(folders)]
    assert len([*paths.index("x").parent.glob("*.sqlite")]) == 1
    shutil.rmtree(folders[0])
    results.save(named(5), root=root)
    file = folders[1] / results.RESULT_FILE
    file.write_text(file.read_text().replace('"name": "net"', '"name": "other"'))
    assert [(one.name[13:15], one.model) for one in index.rows(root)] == [("05", "net"), ("02", "net"), ("01", "other")]
    assert index.count(root, model="other") == 1


def test_a_folder_whose_result_is_written_later_is_looked_at_again(root: Path) -> None:
    folder = results.save(named(0), root=root)
    hidden = (folder / results.RESULT_FILE).rename(root / "hidden")
    assert index.count(root) == 0
    hidden.rename(folder / results.RESULT_FILE)
    assert index.count(root) == 1
