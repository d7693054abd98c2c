"""What a sweep shows while it runs, on standard error: a line for each case that ends, and what runs now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from isobench.console import Console

if TYPE_CHECKING:
    from isobench.results.row import Row
    from isobench.sweeps.tally import Tally


class SweepProgress:
    """Progress of a sweep on a console. It writes only when something happens, never by a timer.

    `count` returns the tally once the tasks are known, None before. In a file or a pipe, only what stays is written:
    the end of each case, notes, and, while nothing is measured yet, each environment and build that is made.
    """

    def __init__(self, console: Console, count: Callable[[], Tally | None]) -> None:
        self._console = console
        self._count = count
        self._tally: Tally | None = None
        self._what = ""

    def begin(self, what: str) -> None:
        """The next piece of work starts."""
        self._tally = self._tally or self._count()
        self._what = what
        if self._console.overwrites:
            self._console.stage(self._numbered(what))
        elif self._tally is None:
            self._console.note(what)

    def stage(self, text: str) -> None:
        """What is being done in it now."""
        if self._console.overwrites:
            self._console.stage(self._numbered(f"{self._what}: {text}" if self._what else text))

    def note(self, text: str) -> None:
        """A message that stays on the screen."""
        self._console.note(text)

    def end(self, status: str) -> None:
        """A Case has ended. Its line is printed by `ended`, once its Result is counted."""
        del status
        self._what = ""

    def ended(self, row: Row) -> None:
        """A Result is saved: its line stays on the screen."""
        from isobench.reports import sweeps

        line = f"{sweeps.label(row)}: {sweeps.ended(row)}"
        self._tally = self._tally or self._count()
        if self._tally is None:
            self._console.note(line)
            return
        self._tally.add(row)
        self._console.note(f"{self._place(self._tally.done)} {line}; {sweeps.left(self._tally)}")

    def clear(self) -> None:
        """Clear the terminal's line."""
        self._console.clear()

    def _numbered(self, text: str) -> str:
        return text if self._tally is None else f"{self._place(self._tally.done + 1)} {text}"

    def _place(self, number: int) -> str:
        assert self._tally is not None
        total = str(self._tally.total)
        return f"[{number:>{len(total)}}/{total}]"
