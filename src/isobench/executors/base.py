"""Executor: measures a plan, which holds names and values only, and returns its Results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from isobench.console import Progress
    from isobench.planning.plan import Plan
    from isobench.results import SavedResult


class Executor(Protocol):
    """Measures plans: on this machine (`local`), or wherever a plan can be sent."""

    def run(self, plan: Plan, progress: Progress) -> Iterator[SavedResult]:
        """Measure every Case of the plan, and yield each Result once it is saved.

        A Case that fails is a Result as well; the others continue.
        """
