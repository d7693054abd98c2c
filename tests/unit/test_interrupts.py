"""What signals do to isobench's process, in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, sys, time
from isobench import interrupts
{before}
interrupts.interrupt()
try:
    print("ready", flush=True)
    {work}
except KeyboardInterrupt:
    print("cleaning", interrupts.received(), flush=True)
    {cleaning}
print("cleaned")
sys.stdout.flush()
os._exit(interrupts.exit_code())
"""
SLEEP = "time.sleep(60)"
FOR_A_WHILE = "end = time.monotonic() + 0.5\n    while time.monotonic() < end: time.sleep(0.01)"


def run(
    numbers: Iterable[int], *, work: str = SLEEP, cleaning: str = "pass", before: str = ""
) -> tuple[int, list[str], str]:
    """Start the program, send it signals (0: none), each after a line of its output; its exit code and output."""
    program = PROGRAM.format(work=work, cleaning=cleaning, before=before)
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        lines = []
        for number in numbers:
            lines.append(started.stdout.readline().strip())
            started.send_signal(number)
        out, err = started.communicate(timeout=60)
    return started.returncode, [*lines, *out.splitlines()], err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_cleaned_up_after_and_the_exit_code_has_its_number(number: signal.Signals, code: int) -> None:
    assert run([number]) == (code, ["ready", f"cleaning {number.name}", "cleaned"], "")


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_break_the_cleaning(second: int) -> None:
    code, lines, err = run([signal.SIGINT, second], cleaning=FOR_A_WHILE)
    assert (code, lines, err) == (130, ["ready", "cleaning SIGINT", "cleaned"], "")


def test_a_second_signal_ends_what_takes_too_long() -> None:
    code, lines, err = run([signal.SIGINT, signal.SIGTERM], cleaning=SLEEP, before="interrupts.PATIENCE_S = -1")
    assert (code, lines, err) == (143, ["ready", "cleaning SIGINT"], "")


def test_signals_that_were_ignored_stay_ignored() -> None:
    ignored = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    code, lines, err = run([signal.SIGHUP], work=FOR_A_WHILE, before=ignored)
    assert (code, lines, err) == (130, ["ready", "cleaned"], "")


def test_what_is_held_is_done_and_reported_before_the_signal_takes_effect() -> None:
    block = "print('held', flush=True); time.sleep(0.5); print('saved')"
    work = f"\n    with interrupts.Held(): {block}\n    print('reported'); time.sleep(60)"
    code, lines, err = run([0, signal.SIGTERM], work=work)
    assert (code, lines, err) == (143, ["ready", "held", "saved", "reported", "cleaning SIGTERM", "cleaned"], "")


def test_an_interrupt_that_a_callback_would_lose_is_raised_once_more() -> None:
    lost = "class Lost:\n    def __del__(self): os.kill(os.getpid(), signal.SIGINT); time.sleep(0.01)"
    code, lines, err = run([], work="x = Lost(); del x; time.sleep(60)", before=lost)
    assert (code, lines, err) == (130, ["ready", "cleaning SIGINT", "cleaned"], "")


@pytest.mark.parametrize(("patience_s", "imported"), [(5.0, ["imported"]), (-1, [])])
def test_an_import_is_finished_first_but_not_waited_for_without_end(
    tmp_path: Path, patience_s: float, imported: list[str]
) -> None:
    (tmp_path / "slow.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(0.5)\n")
    before = f"sys.path.insert(0, {str(tmp_path)!r}); interrupts.PATIENCE_S = {patience_s}"
    code, lines, err = run([], work="import slow; print('imported'); time.sleep(60)", before=before)
    assert (code, lines, err) == (130, ["ready", *imported, "cleaning SIGINT", "cleaned"], "")


def test_a_signal_before_anything_has_begun_ends_the_process_without_a_word() -> None:
    work = "interrupts.end_at_once(); os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)"
    assert run([], work=work) == (143, ["ready"], "")
