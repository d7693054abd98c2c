"""Standard output and error that never fail, in processes of their own."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import errno, os, sys, time
from isobench import streams
{before}
streams.install()
print({text})
problem = streams.problem()
print(streams.unread(), problem and errno.errorcode[problem.errno], {report}, file=sys.stderr)
"""


def command(text: str = "'words'", *, before: str = "", report: str = "''") -> list[str]:
    return [sys.executable, "-c", PROGRAM.format(text=text, before=before, report=report)]


def done(argv: list[str], *, stdout: Any = subprocess.PIPE, env: Mapping[str, str] | None = None) -> tuple[str, str]:
    ended = subprocess.run(
        argv, stdout=stdout, stderr=subprocess.PIPE, env={**os.environ, **(env or {})}, check=True, timeout=60
    )
    return (ended.stdout or b"").decode(), ended.stderr.decode().strip()


def reported(argv: list[str], stdout: Any) -> str:
    return done(argv, stdout=stdout)[1]


def test_what_is_printed_is_written() -> None:
    assert done(command()) == ("words\n", "False None")


def test_a_reader_that_is_gone_is_noticed_and_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    assert reported(command(), writing) == "True None"
    os.close(writing)


def test_a_terminal_that_is_gone_is_a_reader_that_is_gone() -> None:
    screen, terminal = pty.openpty()
    os.close(screen)
    assert reported(command(), terminal) == "True None"
    os.close(terminal)


def test_a_full_disk_is_remembered_as_an_error() -> None:
    with Path("/dev/full").open("wb") as full:
        assert reported(command(), full) == "True ENOSPC"


def test_a_stream_that_was_closed_is_no_file_that_is_opened_later() -> None:
    before = "os.close(1)\nos.close(0)\nsys.stdout = None"
    assert reported(command(before=before, report="os.open('/dev/null', os.O_RDONLY) > 2"), None) == "False None True"


@pytest.mark.parametrize(("encoding", "printed"), [("ascii", "\\xe9\\udcff\n"), ("utf-8", "é\\udcff\n")])
def test_characters_that_the_encoding_lacks_are_escapes(encoding: str, printed: str) -> None:
    assert done(command(r"'\xe9\udcff'"), env={"PYTHONIOENCODING": encoding}) == (printed, "False None")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_click_prints_escapes_whatever_the_encoding(encoding: str) -> None:
    clicked = command(r"end='') or __import__('click').echo('a\x07b\rc'")
    assert done(clicked, env={"PYTHONIOENCODING": encoding}) == ("a\\x07b\\rc\n", "False None")


def test_a_slow_reader_of_a_pipe_that_does_not_block_gets_everything() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    started = subprocess.Popen(command("'x' * 300_000"), stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    time.sleep(0.2)
    with os.fdopen(reading, "rb") as pipe:
        assert len(pipe.read()) == 300_001
    assert started.communicate(timeout=60)[1] == b"False None \n"


def test_a_pipe_that_does_not_block_and_is_never_read_is_an_error_after_a_while() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    assert reported(command("'x' * 300_000", before="streams.PATIENCE_S[1] = 0.05"), writing) == "True EAGAIN"
    os.close(reading)
    os.close(writing)


INTERRUPTED = """
import os, signal, sys, time
from isobench import streams
streams.install()
def interrupt(_frame, event, argument):
    if event == {event!r} and argument.__name__ == "write" and isinstance(argument.__self__, streams._Raw):
        sys.setprofile(None)
        signal.raise_signal(signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.setprofile(interrupt)
try:
    print("the first line", file=sys.stderr)
except KeyboardInterrupt:
    print("interrupted", "x" * 20_000, file=sys.stderr)
"""


@pytest.mark.parametrize("event", ["c_call", "c_return"])
def test_what_follows_an_interrupted_write_is_printed(event: str) -> None:
    _, printed = done([sys.executable, "-c", INTERRUPTED.format(event=event)])
    lines = printed.splitlines()
    assert set(lines[:-1]) == {"the first line"}
    assert lines[-1] == "interrupted " + "x" * 20_000


def test_what_follows_an_interrupted_write_is_dropped_if_nobody_reads() -> None:
    reading, writing = os.pipe()
    program = (
        "import signal\nfrom isobench import streams\nstreams.install()\n"
        "signal.signal(signal.SIGALRM, signal.default_int_handler)\nsignal.setitimer(signal.ITIMER_REAL, 0.1)\n"
        "try:\n    print('x' * 300_000, flush=True)\nexcept KeyboardInterrupt:\n    print('interrupted', flush=True)\n"
        "print(streams.problem(), streams.unread(), file=__import__('sys').stderr)\n"
    )
    assert reported([sys.executable, "-c", program], writing) == "None True"
    os.close(reading)
    os.close(writing)
