"""Calls the command line in this process: quick enough for fuzzers."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

from isobench import failures
from isobench.cli import main
from isobench.streams import Printed

EXIT_CODES = failures.EXIT_CODES.keys() - {1}
"""All that are documented but 1, which is an error of isobench's own in most commands."""
TRACES = ("Traceback (most recent call last)", "an error in isobench", "Report it with the text above")


class WrongEndError(AssertionError):
    """A call didn't end as it must; `place` says how, in brief."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


class Called(NamedTuple):
    """How a call ended."""

    code: int
    output: str
    errors: str


def call(*arguments: str | Path) -> Called:
    """`isobench ARGUMENTS`; what it changes in the environment variables is undone.

    It prints to streams that escape control characters, as a process of its own does.

    Raises:
        Exception: it isn't caught, so that a user would see a traceback.
    """
    files = io.BytesIO(), io.BytesIO()
    streams = [Printed(file, encoding="utf-8", errors="backslashreplace") for file in files]
    words, variables, folder = sys.argv, dict(os.environ), os.open(".", os.O_RDONLY)
    sys.argv = ["isobench", *map(str, arguments)]
    code: object = 0
    try:
        with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
            try:
                code = main.main()
            except SystemExit as ended:
                code = ended.code
    finally:
        sys.argv = words
        os.environ.clear()
        os.environ.update(variables)
        os.fchdir(folder)
        os.close(folder)
    for one in streams:
        one.flush()
    output, errors = (file.getvalue().decode() for file in files)
    return Called(int(code or 0), output, errors)  # type: ignore[call-overload]


def check(*arguments: str | Path, traces: Sequence[str] = TRACES) -> Called:
    """`call`, whose end must be documented and no error of isobench's own; a terminal must not be moved by the text.

    Unless all went well, there must be a message on stderr, or a Case that failed in what is printed. `traces` is what
    the text of isobench's own errors has.

    Raises:
        WrongEndError: it isn't so.
    """
    found = call(*arguments)
    text = found.output + found.errors
    shown = f"isobench {' '.join(map(repr, map(str, arguments)))[:2000]}\nexit code {found.code}\n{text[-4000:]}"
    wrong = {
        f"exit code {found.code}": found.code not in EXIT_CODES,
        "no message": found.code != 0 and not found.errors and "failed" not in found.output,
        "a traceback": any(trace in text for trace in traces),
        "a control character": any((one < " " and one not in "\n\t") or "\x7f" <= one < "\xa0" for one in text),
    }
    for what, is_so in wrong.items():
        if is_so:
            message = next((line for line in found.errors.splitlines() if line.startswith("error")), "")
            raise WrongEndError(shown, f"{what} of {arguments[0]}: {message[-60:]}")
    return found
