"""Names that users type: the closest known one, and the one that a prefix stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: "; did you mean torch?", or "" where no known name is close."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def by_prefix(prefix: str, items: Iterable[Item], name: Callable[[Item], str]) -> Sequence[Item]:
    """The items whose name begins with `prefix`; only one if it is the whole name of that one; none for ""."""
    found = [item for item in items if prefix and name(item).startswith(prefix)]
    return next(([item] for item in found if name(item) == prefix), found)
