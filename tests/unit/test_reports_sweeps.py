from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sample_results
import sample_sweeps

from isobench.failures import Ending
from isobench.reports import sweeps
from isobench.results.row import Row
from isobench.sweeps import status
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.outcomes import Outcomes
from isobench.sweeps.status import Status

TASKS = [sample_sweeps.task("net", case_key=f"k{batch}", axes={"batch": batch}) for batch in (1, 8, 32)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    return sample_sweeps.folder(tmp_path / "night", *TASKS)


def read(folder: SweepFolder, **pending: str) -> Status:
    return status.read(folder, Outcomes.read(folder), pending)


def row(**changes: Any) -> Row:
    values: dict[str, Any] = {"name": "a", "id": "a", "status": "measured", "model": "net", "label": "ort"}
    return Row(**(values | changes))


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (row(mean_s=1.234e-3, verdict="clean", outputs="correct", duration_s=2.1), "1.234 ms, clean (2.1 s)"),
        (row(mean_s=1e-3, verdict="invalid", outputs="wrong", duration_s=65.0), "1.000 ms, WRONG OUTPUTS (65 s)"),
        (row(status="failed", kind="crash", message="gone\nlog"), "failed: crash: gone"),
        (
            row(status="failed", kind="timeout", message="too long", duration_s=901),
            "failed: timeout: too long (15 min)",
        ),
    ],
)
def test_a_case_that_ended_says_how(found: Row, text: str) -> None:
    assert sweeps.ended(found) == text


def test_a_long_message_is_cut_in_a_line() -> None:
    text = sweeps.ended(row(status="failed", kind="exception", message="x" * 1000))
    assert len(text) < 200
    assert text.endswith("...")


def test_a_case_is_named_with_its_place_in_the_matrix() -> None:
    assert sweeps.label(row(axes={"batch": 8, "precision": "fp16"}, repeat=2)) == (
        "net on ort (batch=8, precision=fp16, repeat 2)"
    )
    assert sweeps.label(row(repeat=1)) == "net on ort"


def test_the_summary_counts_and_has_a_row_for_each_result(folder: SweepFolder) -> None:
    measured = [sample_sweeps.save(folder, TASKS[0])]
    sample_sweeps.save(folder, TASKS[1], sample_sweeps.failed(Ending.CRASH, "killed by SIGSEGV"))
    text = sweeps.summary(read(folder), measured)
    assert text.startswith("3 cases: 1 measured, 1 failed, 1 not run\n")
    assert "model  runtime  batch" in text
    assert "net    ort          1" in text
    assert text.endswith("failed: 1 crash\n  crash: net on ort (batch=8)\n    killed by SIGSEGV")


def test_failures_with_the_same_message_are_one_paragraph(folder: SweepFolder) -> None:
    for task in TASKS:
        sample_sweeps.save(folder, task, sample_sweeps.failed(Ending.ENVIRONMENT, "no network"))
    assert sweeps.summary(read(folder), []).endswith(
        "failed: 3 environment\n  environment: net on ort (batch=1) and 2 other cases\n    no network"
    )


def test_wrong_outputs_are_counted(folder: SweepFolder) -> None:
    sample_sweeps.save(folder, TASKS[0], sample_results.measured(4.0, ok=False, reasons=("off",)))
    assert "1 measured, 2 not run (1 with wrong outputs)" in sweeps.summary(read(folder), [])


def test_results_of_unlike_machines_are_pointed_out(folder: SweepFolder) -> None:
    from dataclasses import replace

    other = replace(sample_results.HOST, hostname="two", cpu=replace(sample_results.HOST.cpu, model="B CPU"))
    sample_sweeps.save(folder, TASKS[0])
    assert "unlike machines" not in sweeps.summary(read(folder), [])
    sample_sweeps.save(folder, TASKS[1], provenance=replace(sample_results.make().provenance, host=other))
    text = sweeps.summary(read(folder), [])
    assert "measured on unlike machines" in text
    assert "  A CPU: one\n  B CPU: two" in text


def test_the_status_shows_what_is_done_and_what_runs(folder: SweepFolder) -> None:
    sample_sweeps.save(folder, TASKS[0])
    text = sweeps.status_text(folder, read(folder, **{TASKS[1].key: "pid 7"}))
    lines = [line.split(maxsplit=1) for line in text.splitlines()]
    assert lines[0] == ["night"]
    assert ["measured", "1 of 3: 1 clean"] in lines
    assert ["now", "net on ort (batch=8), pid 7"] in lines
    assert any(line[0] == "left" and line[1].startswith("2, about ") for line in lines)


def test_the_status_for_programs_has_every_failure(folder: SweepFolder) -> None:
    saved = sample_sweeps.save(folder, TASKS[0], sample_sweeps.failed(Ending.TIMEOUT, "took\ntoo long"))
    value = sweeps.status_json(folder, read(folder))
    assert (value["cases"], value["failed"], value["left"]) == (3, 1, 2)
    assert value["failures"] == [
        {
            "case": "net on ort (batch=1)",
            "result": saved.id,
            "kind": "timeout",
            "message": "took\ntoo long",
            "attempt": 1,
        }
    ]


def test_a_message_cannot_move_the_cursor(folder: SweepFolder) -> None:
    sample_sweeps.save(folder, TASKS[0], sample_sweeps.failed(Ending.CRASH, "\x1b[2J"))
    assert "\x1b" not in sweeps.summary(read(folder), [])
