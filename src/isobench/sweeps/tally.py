"""Tally: how many cases of a sweep are done, failed and left while it runs, and how long those will take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from isobench.planning.retry import Retry
from isobench.results.row import Row
from isobench.sweeps.estimate import Estimate, History
from isobench.sweeps.outcomes import Outcomes
from isobench.sweeps.task import Task


@dataclass(slots=True)
class _Left:
    """What is left of a task. Of `together` interleaved Cases, each takes as long as all of them."""

    cases: int
    estimate: Estimate
    together: int

    @property
    def seconds_a_case(self) -> float:
        return self.estimate.seconds / max(self.estimate.cases, 1)

    @property
    def is_known(self) -> bool:
        """Was every Case measured before, in the same way?"""
        return self.estimate.earlier == self.estimate.cases


class Tally:
    """Counts the cases of a sweep as they end. Repeated attempts at a case count once."""

    def __init__(self, tasks: Sequence[Task], outcomes: Outcomes, retry: Retry, history: History) -> None:
        self.total = 0
        self.done = 0
        self.failed = 0
        self._left: dict[str, _Left] = {}
        self._guessed_s = self._guessed_took_s = 0.0
        self._took_s = 0.0
        self._started_s = time.monotonic()
        for task in tasks:
            found = outcomes.of(task)
            stays = [one for one in found if one is not None and not retry.runs_again(one.kind)]
            self.total += len(found)
            self.done += len(stays)
            self.failed += sum(one.kind is not None for one in stays)
            if len(stays) < len(found):
                self._left[task.key] = _Left(
                    cases=len(found) - len(stays),
                    estimate=history.of_task(task),
                    together=len(found) if task.plan.interleaved else 1,
                )

    @property
    def left(self) -> int:
        return self.total - self.done

    @property
    def left_s(self) -> float:
        """The time until the last case has ended, in seconds.

        Estimates of cases that weren't measured before in the same way are scaled by how far off such estimates were
        until now. As many cases are taken to run side by side as did until now.
        """
        scale = self._guessed_took_s / self._guessed_s if self._guessed_s else 1.0
        one_by_one_s = sum(
            left.cases * left.seconds_a_case * (1.0 if left.is_known else scale) for left in self._left.values()
        )
        elapsed_s = time.monotonic() - self._started_s
        side_by_side = self._took_s / elapsed_s if self._took_s > elapsed_s > 0 else 1.0
        return one_by_one_s / side_by_side

    def add(self, row: Row) -> None:
        """Count a Result of the sweep."""
        left = self._left.get(row.task)
        self.failed += row.status == "failed"
        if left is None or not left.cases:  # another attempt at what is counted already
            return
        self.done += 1
        left.cases -= 1
        took_s = (row.duration_s or 0.0) / left.together
        self._took_s += took_s
        if not left.is_known and row.status == "measured":
            self._guessed_s += left.seconds_a_case
            self._guessed_took_s += took_s
