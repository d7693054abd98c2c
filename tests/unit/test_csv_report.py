from __future__ import annotations

import csv
import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sample_results import make, measured, save

from isobench.analysis.summary import summarize
from isobench.cli.main import main
from isobench.errors import ResultError
from isobench.reports import csv_report
from isobench.results import Failed


def rows(*places: Path) -> list[dict[str, str]]:
    written = io.StringIO()
    with csv_report.Source(places) as source:
        csv_report.write(source, written)
    return list(csv.DictReader(io.StringIO(written.getvalue())))


def command(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["isobench", "report", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
    return int(leaving.value.code or 0), *capsys.readouterr()


def test_a_result_is_a_row_with_turnkeymls_names_and_units(tmp_path: Path) -> None:
    result = make(outcome=measured(4.0, reasons=("a reason, with a comma",)))
    save(result, tmp_path)
    [row] = rows(tmp_path / "results")
    expected = {
        "model_name": "net",
        "author": "",
        "class": "Net",
        "parameters": "11689512",
        "hash": "12ab34cd",
        "runtime": "ort",
        "runtime_version": "1.0",
        "device_type": "x86",
        "device": "A CPU",
        "mean_latency": "4",
        "latency_units": "ms",
        "throughput": "250",
        "throughput_units": "inferences per second",
        "iterations": "4",
        "status": "measured",
        "labels": "task::nlp",
        "median_latency_ms": "4",
        "median_low_ms": "3.6",
        "median_high_ms": "4.4",
        "p99_latency_ms": "4",
        "verdict": "noisy",
        "verdict_reasons": "a reason, with a comma",
        "outputs": "correct",
        "rt_args": "spinning::True",
        "script_args": "'--n=1",
        "threads": "2",
        "processes": "1",
        "environment": "ort",
        "provider": "venv",
        "environment_identity": "a" * 64,
        "result_id": result.id,
        "folder": str(tmp_path / "results" / result.id),
    }
    assert {name: row[name] for name in expected} == expected


def test_runtimes_and_folders_get_rows_of_their_own_and_no_result_is_repeated(tmp_path: Path) -> None:
    for name, runtime in (("one", "ort"), ("one", "torch-eager"), ("other", "ort")):
        (tmp_path / name).mkdir(exist_ok=True)
        save(make(runtime), tmp_path / name)
    one, other = tmp_path / "one" / "results", tmp_path / "other" / "results"
    found = rows(one, other, one / make().id)
    assert [(row["runtime"], Path(row["folder"]).parent) for row in found] == [
        ("ort", one),
        ("torch-eager", one),
        ("ort", other),
    ]


def test_what_failed_and_what_can_not_be_read_have_rows_that_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(make(outcome=Failed(kind="crash", message="it crashed\nbadly")), tmp_path)
    corrupted = tmp_path / "results" / "20260102T000000-net-ort-0002"
    corrupted.mkdir()
    (corrupted / "result.json").write_bytes(b'{"schema": "isobench.res')
    code, out, err = command(capsys, "--csv", tmp_path / "results")
    assert code == 0
    failed, unreadable = csv.DictReader(io.StringIO(out))
    assert (failed["status"], failed["error"], failed["error_message"]) == ("failed", "crash", "it crashed\nbadly")
    assert failed["mean_latency"] == ""
    assert (unreadable["status"], unreadable["error"]) == ("unreadable", "result")
    assert unreadable["result_id"] == corrupted.name
    assert "is not valid JSON" in unreadable["error_message"]
    assert "warning:" in err
    assert corrupted.name in err


def test_figures_that_a_runtime_saved_and_those_of_a_gpu_are_columns(tmp_path: Path) -> None:
    save(make(), tmp_path)
    save(make("mine", outcome=replace(measured(4.0), stats={"my_figure": 3})), tmp_path)
    save(make("trt", outcome=replace(measured(4.0), end_to_end=summarize([5_000_000] * 4))), tmp_path)
    found = {row["runtime"]: row for row in rows(tmp_path / "results")}
    assert (found["trt"]["end_to_end_mean_ms"], found["ort"]["end_to_end_mean_ms"]) == ("5", "")
    assert {name: row["stat.my_figure"] for name, row in found.items()} == {"ort": "", "mine": "3", "trt": ""}


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="no results in"):
        rows(tmp_path)


def test_it_is_written_to_a_file_where_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(make(), tmp_path)
    code, out, err = command(capsys, "--csv", tmp_path / "results", "-o", tmp_path / "all.csv")
    assert (code, out) == (0, "")
    assert "1 results in" in err
    assert (tmp_path / "all.csv").read_text().startswith("model_name,author,class,")
    code, _, err = command(capsys, "--csv", tmp_path / "results", "-o", tmp_path / "absent" / "all.csv")
    assert code == 2
    assert "absent/all.csv can't be written: No such file or directory" in err
    code, _, err = command(capsys, tmp_path / "results")
    assert code == 2
    assert "Missing option '--csv'" in err


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(1)", " =1", "'x", "\uff1d1", "\t=1", "a\nb", "x", "", 'a,"b"']
)
def test_a_text_that_a_spreadsheet_takes_for_a_formula_has_an_apostrophe_that_programs_take_off(text: str) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerow([csv_report.cell(text)])
    [[found]] = csv.reader(io.StringIO(stream.getvalue()))
    assert found.lstrip()[:1] not in tuple("=+-@\uff1d\uff0b\uff0d\uff20")
    assert found.removeprefix("'") == text


def test_numbers_stay_numbers_and_control_characters_are_escapes_in_the_csv() -> None:
    assert [csv_report.cell(value) for value in (-1, -1.5, 0)] == [-1, -1.5, 0]
    assert csv_report.cell("a\x1b[2J\rb\u202e") == r"a\x1b[2J\rb\u202e"
    assert csv_report.cell(["\x1b"]) == r"['\x1b']"
