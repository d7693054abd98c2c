from __future__ import annotations

import io
import os
import pty
import select
import struct
from fcntl import ioctl
from termios import TIOCSWINSZ

import pytest

from isobench.console import Console
from isobench.escapes import printable


def work(console: Console) -> None:
    console.begin("resnet on ort")
    console.stage("measuring")
    console.end("12.3 ms")
    console.begin("resnet on torch-eager")
    console.end("failed")


def test_each_step_is_a_line_in_a_file_or_a_pipe() -> None:
    stream = io.StringIO()
    work(Console(stream))
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["resnet on ort", "resnet on ort: measuring"]
    assert lines[2].startswith("resnet on ort: 12.3 ms (")
    assert lines[4].startswith("resnet on torch-eager: failed (")


def test_a_quiet_console_prints_nothing() -> None:
    stream = io.StringIO()
    work(Console(stream, quiet=True))
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("columns", "seen"), [(80, "resnet on ort: measuring"), (11, "resnet on ")])
def test_a_terminals_line_is_overwritten_and_never_wraps(columns: int, seen: str) -> None:
    screen, terminal = pty.openpty()
    ioctl(terminal, TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(terminal, "w") as stream:
        console = Console(stream)
        work(console)
        console.clear()
        written = ""
        while select.select([screen], [], [], 0.2)[0]:
            written += os.read(screen, 4096).decode()
    os.close(screen)
    assert f"\r\x1b[K{seen}\r\x1b[K" in written
    assert written.endswith("\r\x1b[K")
    assert written.count("\n") == 2, "only the results stay"


def test_control_characters_of_a_name_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b]0;title\x07b\r\x9b2J\tc\n\u00e9") == "a\\x1b]0;title\\x07b\\r\\x9b2J\tc\n\u00e9"
    stream = io.StringIO()
    Console(stream).note("net\x1b[2J")
    assert stream.getvalue() == "net\\x1b[2J\n"
