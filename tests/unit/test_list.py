"""`isobench list`, `show` and `remove`, as users see them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sample_results import make, measured

from isobench import results
from isobench.cli.main import main
from isobench.failures import Ending
from isobench.results import Failed


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of 60 results: one of torch-eager, the newest of which failed."""
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    root = tmp_path / "home" / "results"
    for number in range(60):
        runtime = "torch-eager" if number == 3 else "ort"
        outcome = Failed(kind=Ending.CRASH, message="it crashed") if number == 59 else measured(4.0)
        started = f"2026-01-01T00:00:{number:02}.000+00:00"
        result = make(runtime, outcome, id=f"20260101T0000{number:02}-net-{runtime}-0001", started_at=started)
        results.save(result, root=root)
    return root


def command(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["isobench", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
    return int(leaving.value.code or 0), *capsys.readouterr()


def seconds(out: str) -> list[int]:
    """When the results of a listing started."""
    return [int(line[13:15]) for line in out.splitlines() if line.startswith("2026")]


@pytest.mark.usefixtures("root")
def test_the_list_is_of_the_newest_50_the_newest_at_the_bottom(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, errors = command(capsys, "list")
    assert code == 0
    assert seconds(out) == [*range(10, 60)]
    assert out.splitlines()[-1].split() == [
        "20260101T000059-net-ort-0001",
        "net",
        "ort",
        "x86",
        "-",
        "-",
        "failed:",
        "crash",
    ]
    assert errors == "the newest 50 of 60; --limit 0 lists all\n"
    assert seconds(command(capsys, "list", "--limit", "3")[1]) == [57, 58, 59]
    _, out, errors = command(capsys, "list", "--limit", "0")
    assert (seconds(out), errors) == ([*range(60)], "")


@pytest.mark.usefixtures("root")
def test_filters_choose_and_say_where_nothing_matches(capsys: pytest.CaptureFixture[str]) -> None:
    assert seconds(command(capsys, "list", "--runtime", "torch-eager")[1]) == [3]
    assert seconds(command(capsys, "list", "--status", "failed")[1]) == [59]
    assert seconds(command(capsys, "list", "--since", "2026-01-01T00:00:57")[1]) == [57, 58, 59]
    _, out, errors = command(capsys, "list", "--model", "net", "--limit", "1")
    assert (seconds(out), errors) == ([59], "the newest 1 of 60; --limit 0 lists all\n")
    code, out, errors = command(capsys, "list", "--model", "ten")
    assert (code, out) == (0, "")
    assert errors.startswith("no result in ")
    assert errors.endswith(" matches\n")
    code, _, errors = command(capsys, "list", "--since", "tomorrow")
    assert code == 2
    assert "--since must be a date, a time" in errors


@pytest.mark.usefixtures("root")
def test_as_json_the_same_page_is_a_list_of_whole_results(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = command(capsys, "list", "--json", "--limit", "2")
    found = [results.load(one["id"]) for one in json.loads(out)]
    assert out == json.dumps([one.to_json() for one in found], indent=1) + "\n"
    assert [one.id[13:15] for one in found] == ["58", "59"]
    assert command(capsys, "list", "--json", "--model", "ten")[1] == "[]\n"


def test_of_many_unreadable_results_the_first_are_named_and_the_others_counted(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in sorted(root.iterdir())[:15]:
        (folder / results.RESULT_FILE).write_text("{")
    _, out, errors = command(capsys, "list", "--limit", "0")
    assert len(seconds(out)) == 60
    assert out.splitlines()[2].split()[1:] == ["-", "-", "-", "-", "-", "unreadable"]
    assert errors.count("is not valid JSON") == 10
    assert errors.endswith("warning: 5 more results can't be read: isobench list --status unreadable\n")
    _, out, errors = command(capsys, "list", "--json", "--limit", "0")
    assert len(json.loads(out)) == 45
    assert errors.count("is not valid JSON") == 10


def test_a_sweeps_folder_stands_for_the_results_in_it(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = tmp_path / "night"
    sweep.mkdir()
    (sweep / "sweep.json").write_text("{}")
    root.rename(sweep / "results")
    for arguments in (["list", "--from", sweep], ["report", "--csv", sweep]):
        assert "20260101T000059-net-ort-0001" in command(capsys, *arguments)[1]
    assert "it crashed" in command(capsys, "show", "20260101T000059", "--from", sweep)[1]


def test_a_report_has_the_filters_of_the_list(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def lines(*arguments: str) -> int:
        return len(command(capsys, "report", "--csv", *arguments)[1].splitlines()) - 1

    assert lines() == 60
    assert lines("--runtime", "ort", "--status", "clean") == 58
    assert lines("--limit", "7") == 7
    assert lines(str(root / "20260101T000003-net-torch-eager-0001"), "--runtime", "ort") == 0


def test_a_name_of_several_results_is_refused_with_the_newest(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, errors = command(capsys, "remove", "20260101T00005")
    assert code == 6
    assert "matches 10 results, the newest of them: 20260101T000055" in errors
    assert command(capsys, "remove", "20260101T000059")[0] == 0
    assert not (root / "20260101T000059-net-ort-0001").exists()
    assert seconds(command(capsys, "list", "--limit", "1")[1]) == [58]


def test_two_folders_are_compared_where_they_have_models_in_common(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: str | Path) -> str:
        code, _, errors = command(capsys, "compare", *arguments)
        assert code == 6
        return errors

    other = tmp_path / "other"
    changed = replace(make(), model=replace(make().model, name="another"))
    results.save(changed, root=other)
    results.save(replace(changed, id="2"), root=other)
    text = refused(root, other)
    assert "net::12ab34cd on ort is not measured in" in text
    assert "net::12ab34cd on torch-eager is not measured in" in text
    assert "have no model and runtime in common" in text
