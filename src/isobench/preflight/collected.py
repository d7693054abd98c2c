"""Errors of a suite that are collected, so that all of them are reported at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from isobench.planning.suite import Suite, SuiteError, all_of
from isobench.planning.toml_lines import Place

MOST = 20


class Errors:
    """The errors of one suite so far, each once."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._found: dict[str, SuiteError] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    @contextmanager
    def collect(self, place: Place) -> Iterator[None]:
        """Within this, an error is collected, and what follows is checked, too; `place` is where it stands.

        Raises:
            SuiteError: these are many errors already.
        """
        try:
            with self._suite.at(place):
                yield
        except SuiteError as error:
            self.add(error)

    def add(self, error: SuiteError) -> None:
        """Raises:
        SuiteError: these are many errors already.
        """
        self._found.setdefault(error.message, error)
        if len(self._found) >= MOST:
            self.refuse()

    def refuse(self) -> None:
        """Raises:
        SuiteError: there are errors; it lists all of them.
        """
        if self._found:
            raise all_of(self._suite.path, list(self._found.values()))
