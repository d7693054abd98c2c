"""What earlier Results on this machine took, for estimates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain

from isobench.errors import ResultError
from isobench.results import index
from isobench.results.row import Row
from isobench.sweeps import finding
from isobench.sweeps.estimate import History

MOST = 5_000
"""So many of the newest Results of a folder are looked at."""


def stored(own: Iterable[Row] = ()) -> History:
    """The durations of the newest Results, of `isobench run` and of sweeps; those of `own` Results take precedence."""
    return History(chain(own, _rows()))


def _rows() -> Iterator[Row]:
    for folder in finding.results_folders():
        if folder.is_dir():
            with suppress(ResultError):  # somebody else's folder; an estimate does without it
                yield from index.rows(folder, limit=MOST)
