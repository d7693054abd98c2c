from __future__ import annotations

import io

import pytest

from isobench.console import Console
from isobench.escapes import one_line, printable
from isobench.streams import Printed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00b5s \u00b1 caf\u00e9 \u65e5\u672c", "plain \u00b5s \u00b1 caf\u00e9 \u65e5\u672c"),
        ("a\x1b[2Jb\x07\x7f\x9b", r"a\x1b[2Jb\x07\x7f\x9b"),
        ("a\rb\x0b", r"a\rb\x0b"),
        ("a\tb\nc\x00", "a\tb\nc\\x00"),
        ("\u202eevil\u2066\u200b\ufeff\u2028", r"\u202eevil\u2066\u200b\ufeff\u2028"),
        ("\udcff\ud800", r"\udcff\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_moves_the_cursor_hides_or_cannot_be_encoded_is_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown
    shown.encode()


def test_a_text_in_one_line_has_no_line_breaks_and_no_tabs() -> None:
    assert one_line("a\tb\nc") == r"a\tb\nc"


def test_whoever_writes_to_the_command_lines_streams_moves_no_cursor_but_the_progress() -> None:
    raw = io.BytesIO()
    stream = Printed(raw, encoding="utf-8", write_through=True)
    print("a\x1b[2Jb", file=stream)
    assert raw.getvalue() == b"a\\x1b[2Jb\n"
    stream.isatty = lambda: True  # type: ignore[method-assign]
    Console(stream).stage("net\x1b[2J\nnet")
    assert raw.getvalue().endswith(b"\n\r\x1b[Knet\\x1b[2J\\nnet")
