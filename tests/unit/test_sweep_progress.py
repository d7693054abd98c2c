"""What a sweep writes on standard error while it runs."""

from __future__ import annotations

import io
import itertools
import os
import pty
import select
from pathlib import Path
from types import SimpleNamespace

import pytest
import sample_sweeps

from isobench.cli.sweep_progress import SweepProgress
from isobench.console import Console
from isobench.planning.retry import Retry
from isobench.results.row import Row
from isobench.sweeps import tally as tally_module
from isobench.sweeps.estimate import History
from isobench.sweeps.outcomes import Outcomes
from isobench.sweeps.tally import Tally

TASKS = [sample_sweeps.task("net", case_key=f"k{batch}", axes={"batch": batch}) for batch in range(12)]


@pytest.fixture
def tally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tally:
    """Of a sweep whose cases take ten seconds each, one after the other, as a clock says that is set by hand."""
    times = itertools.count(0, 1000)
    monkeypatch.setattr(tally_module, "time", SimpleNamespace(monotonic=lambda: next(times)))
    folder = sample_sweeps.folder(tmp_path / "night", *TASKS)
    history = History([row(number) for number in range(12)])
    return Tally(TASKS, Outcomes.read(folder), Retry.NONE, history)


def row(number: int, *, failed: bool = False) -> Row:
    how = {"status": "failed", "kind": "crash", "message": "it crashed"} if failed else {"status": "measured"}
    return Row(
        name="a",
        id="a",
        model="net",
        label="ort",
        task=TASKS[number].key,
        case_key=f"k{number}",
        axes={"batch": number},
        duration_s=10.0,
        mean_s=None if failed else 1.5e-3,
        verdict=None if failed else "clean",
        **how,
    )


def test_a_file_gets_a_line_for_each_case_that_ends(tally: Tally) -> None:
    stream = io.StringIO()
    progress = SweepProgress(Console(stream), lambda: tally)
    for number in (0, 1):
        progress.begin("net on ort")
        progress.stage("measuring")
        progress.end("1.5 ms")
        progress.ended(row(number, failed=number == 1))
    assert stream.getvalue().splitlines() == [
        "[ 1/12] net on ort (batch=0): 1.500 ms, clean (10 s); 11 left, about 2 min",
        "[ 2/12] net on ort (batch=1): failed: crash: it crashed (10 s); 1 failed, 10 left, about 2 min",
    ]


def test_a_file_gets_a_line_for_each_thing_that_is_made_before(tally: Tally) -> None:
    known: list[Tally] = []
    stream = io.StringIO()
    progress = SweepProgress(Console(stream), lambda: known[0] if known else None)
    progress.begin("building net")
    progress.stage("exporting")
    known.append(tally)
    progress.begin("net on ort")
    assert stream.getvalue() == "building net\n"


def test_a_terminal_shows_what_runs_now_and_its_number(tally: Tally) -> None:
    screen, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        progress = SweepProgress(Console(stream), lambda: tally)
        progress.begin("net on ort")
        progress.stage("warming up")
        progress.ended(row(0))
        progress.begin("net on ort")
        progress.clear()
        written = b""
        while select.select([screen], [], [], 0.2)[0]:
            written += os.read(screen, 4096)
    os.close(screen)
    parts = written.decode().split("\r\x1b[K")
    assert parts[1:3] == ["[ 1/12] net on ort", "[ 1/12] net on ort: warming up"]
    assert parts[3].startswith("[ 1/12] net on ort (batch=0): 1.500 ms, clean (10 s); 11 left")
    assert parts[4:] == ["[ 2/12] net on ort", ""]


def test_the_last_case_leaves_none(tally: Tally) -> None:
    stream = io.StringIO()
    progress = SweepProgress(Console(stream), lambda: tally)
    for number in range(12):
        progress.ended(row(number))
    assert stream.getvalue().splitlines()[-1].endswith("(10 s); none left")
