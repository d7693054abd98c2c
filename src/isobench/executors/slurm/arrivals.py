"""The Results in a sweep's folder, as they arrive from the nodes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from isobench import results
from isobench.errors import ResultError
from isobench.results import SavedResult
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.task import Task


class Arrivals:
    """Reads each Result once. The Results themselves aren't stored, so that a long sweep needs no memory."""

    def __init__(self, folder: SweepFolder) -> None:
        self._folder = folder
        self._seen: set[str] = set()
        self._attempts: dict[tuple[str, str], int] = defaultdict(int)

    def new(self) -> Iterator[SavedResult]:
        """Those that have arrived since the last call, the oldest first."""
        for name in sorted({*results.names(self._folder.results)} - self._seen):
            folder = self._folder.results / name
            if not (folder / results.RESULT_FILE).exists():
                continue
            self._seen.add(name)
            try:
                result = results.load(str(folder))
            except ResultError:
                continue  # damaged: the task is measured again
            if result.sweep is not None:
                of = result.sweep.task, result.runtime.label
                self._attempts[of] = max(self._attempts[of], result.sweep.attempt)
            yield SavedResult(result=result, folder=folder)

    def are_complete(self, task: Task, *, after: int) -> bool:
        """Has each Case of the task a Result of an attempt after `after`?"""
        return all(self._attempts.get((task.key, label), 0) > after for label in task.runtimes)
