"""MeasuredBefore: the Results of earlier calls, in place of measuring the same Cases again."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from isobench.console import Unfailing
from isobench.errors import ResultError, unexpected
from isobench.failures import Ending
from isobench.planning.retry import Retry
from isobench.sweeps.outcomes import Machine

if TYPE_CHECKING:
    from isobench.console import Progress
    from isobench.measuring.case import Case
    from isobench.results import SavedResult
    from isobench.results.row import Row


class MeasuredBefore:
    """Finds a Case's Result of an earlier call on this machine, by its CaseKey. Use it with `with`.

    A Case that several models of one call have in common takes another Result each time. A failed Case is measured
    again if `retry` says so, and if there is no Result with a measurement.
    """

    def __init__(self, root: Path, retry: Retry, progress: Progress) -> None:
        self._root = root
        self._retry = retry
        self._progress = Unfailing(progress)
        self._began = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._taken: Counter[str] = Counter()
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        from isobench.results.index import Index

        self._index = self._closing.enter_context(Index(self._root, self._progress.stage))
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def __call__(self, case: Case) -> SavedResult | None:
        """Its Result, unless that can't be read or found; None: it must be measured."""
        try:
            return self._found(case)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the Case is measured
            reason = unexpected(error, f"looking for a result of {case.label}")
            self._progress.note(f"warning: {reason.message}")
            return None

    def _found(self, case: Case) -> SavedResult | None:
        from isobench import results

        key = str(case.key)
        for row in self._stored(key)[self._taken[key] :]:
            self._taken[key] += 1
            folder = self._root / row.name
            try:
                result = results.load(str(folder / results.RESULT_FILE))
            except ResultError as error:
                self._progress.note(f"warning: {error.message}")
                continue
            return results.SavedResult(result=result, folder=folder)
        return None

    def _stored(self, key: str) -> list[Row]:
        """The Results that count, those with a measurement first."""
        from isobench.results.wanted import Wanted

        wanted = Wanted(case_key=key)
        here = Machine.here()
        rows = [
            row
            for row in self._index.rows(self._index.names(wanted), wanted)
            if row.started_at < self._began
            and row.hostname in {here.hostname, ""}
            and row.cpu in {here.cpu, ""}
            and not self._retry.runs_again(Ending(row.kind) if row.kind else None)
        ]
        return sorted(rows, key=lambda row: row.status != "measured")
