"""Text of others (names in a model's file, messages, logs) as it can be printed: escapes for what a terminal obeys."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text with escapes for what Python's `repr` escapes, but for line breaks and tabs (`\x1b`, `\u202e`).

    A name in a model's file must not move the cursor, reverse what follows, or hide; half of a surrogate pair, which
    stands for a byte in a file's name that isn't UTF-8, can't be encoded at all.
    """
    if text.isprintable():
        return text
    return "\n".join(line if line.isprintable() else _escaped(line, but="\t") for line in text.split("\n"))


def one_line(text: str) -> str:
    r"""As `printable`, in one line: line breaks and tabs are escapes, too (`\n`)."""
    return text if text.isprintable() else _escaped(text)


def _escaped(text: str, *, but: str = "") -> str:
    return "".join(
        one if one.isprintable() or one in but else one.encode("unicode_escape").decode("ascii") for one in text
    )
