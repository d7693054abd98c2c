"""Which results a list shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sample_results import make, measured

from isobench import results
from isobench.errors import UsageError
from isobench.failures import Ending
from isobench.planning.plan import SweepPlace
from isobench.results import Failed, Measured, Result, index, wanted

NOW = datetime(2026, 11, 28, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("2026-11-27", "2026-11-27T00:00:00.000+00:00"),
        ("2026-11-27T09:30", "2026-11-27T09:30:00.000+00:00"),
        ("2026-11-27 09:30:01", "2026-11-27T09:30:01.000+00:00"),
        ("2026-11-27T09:30+02:00", "2026-11-27T07:30:00.000+00:00"),
        ("09:30", "2026-11-28T09:30:00.000+00:00"),
        ("45m", "2026-11-28T11:45:00.000+00:00"),
        ("12h", "2026-11-28T00:30:00.000+00:00"),
        ("2d", "2026-11-26T12:30:00.000+00:00"),
        ("1w", "2026-11-21T12:30:00.000+00:00"),
    ],
)
def test_a_date_a_time_and_a_span_are_points_in_time_in_utc(text: str, since: str) -> None:
    assert wanted.since(text, now=NOW) == since


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "2", "25:00", "-2d", "99999999w", "2d "])
def test_another_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="--since must be a date, a time") as caught:
        wanted.since(text, now=NOW)
    assert "2d" in caught.value.hint


def saved(root: Path, name: str, path: str, label: str, outcome: Measured | Failed | None = None) -> Result:
    result = make(label.partition(":")[0].partition("[")[0], outcome)
    result = replace(
        result,
        id=f"20260101T000000-{name}-{label}",
        model=replace(result.model, name=name, path=path, hash="12ab34cd"),
        runtime=replace(result.runtime, label=label),
    )
    results.save(result, root=root)
    return result


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "results"
    saved(root, "net", str(tmp_path / "models" / "net.py"), "ort")
    saved(root, "net2", str(tmp_path / "models" / "net2.py"), "ort:spinning=false", measured(4.0, reasons=("busy",)))
    saved(root, "[odd]", "/other/net.py", "torch-eager", Failed(kind=Ending.CRASH, message="it crashed"))
    saved(root, "wrong", "/other/wrong.onnx", "torch-eager", measured(4.0, ok=False, reasons=("far off",)))
    (root / "bad").mkdir()
    (root / "bad" / results.RESULT_FILE).write_text("{")
    return root


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, ["net", "net2", "[odd]", "wrong", ""]),
        ({"model": "net"}, ["net"]),
        ({"model": "net*"}, ["net", "net2", "[odd]"]),
        ({"model": "models/net.py"}, ["net"]),
        ({"model": "./models/../models/net.py"}, ["net"]),
        ({"model": "net.py"}, ["net", "[odd]"]),
        ({"model": "models/*.py"}, ["net", "net2"]),
        ({"model": "/other/*"}, ["[odd]", "wrong"]),
        ({"model": "net.py::12ab"}, ["net", "[odd]"]),
        ({"model": "net::12ab34cd"}, ["net"]),
        ({"model": "net::ff"}, []),
        ({"model": "NET"}, []),
        ({"model": "et"}, []),
        ({"runtime": "ort"}, ["net", "net2"]),
        ({"runtime": "ort:spinning=false"}, ["net2"]),
        ({"runtime": "torch*"}, ["[odd]", "wrong"]),
        ({"status": "measured"}, ["net", "net2", "wrong"]),
        ({"status": "failed"}, ["[odd]"]),
        ({"status": "clean"}, ["net"]),
        ({"status": "noisy"}, ["net2"]),
        ({"status": "invalid"}, ["wrong"]),
        ({"status": "unreadable"}, [""]),
        ({"since": "2026-01-01T00:00:00.000+00:00"}, ["net", "net2", "[odd]", "wrong"]),
        ({"since": "2026-01-01T00:00:00.001+00:00"}, []),
        ({"runtime": "ort", "status": "clean"}, ["net"]),
        ({"case_key": "12ab"}, []),
    ],
)
def test_a_filter_finds_what_it_names(root: Path, given: dict[str, str], found: list[str]) -> None:
    assert sorted(one.model for one in index.rows(root, **given)) == sorted(found)
    assert index.count(root, **given) == len(found)


def test_results_are_found_by_case_key_and_by_their_place_in_a_sweep(root: Path) -> None:
    place = SweepPlace(sweep="night", task="net-3f2a")
    results.save(make(id="20260102T000000-a", case_key="12ab", sweep=place), root=root)
    results.save(make(id="20260102T000000-b", case_key="12ab"), root=root)
    assert [one.id[-1] for one in index.rows(root, case_key="12ab")] == ["b", "a"]
    assert [one.id[-1] for one in index.rows(root, case_key="12ab", limit=1)] == ["b"]
    for given in ({"task": "net-3f2a"}, {"sweep": "night"}):
        assert [one.id[-1] for one in index.rows(root, **given)] == ["a"]
