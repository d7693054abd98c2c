"""The journal of a sweep: what can't be written or read of it ends nothing."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from isobench.sweeps.journal import Journal, What


def test_events_are_read_in_their_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    for what in (What.STARTED, What.RUNNING, What.ENDED):
        journal.write(what, task="t")
    assert [event.what for event in journal.events()] == [What.STARTED, What.RUNNING, What.ENDED]


def test_an_event_that_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("somebody's file")
    assert Journal(tmp_path / "journal").write(What.RUNNING, task="t").what is What.RUNNING


def test_a_line_that_did_not_fit_leaves_no_half_of_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.write(What.STARTED)
    [file] = (tmp_path / "journal").iterdir()
    written = file.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (written + 10, before[1]))
    try:
        journal.write(What.RUNNING, task="t")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.stat().st_size == written
    journal.write(What.ENDED, task="t")
    assert [event.what for event in journal.events()] == [What.STARTED, What.ENDED]
    assert file.name == f"{os.uname().nodename}-{os.getpid()}.jsonl"
