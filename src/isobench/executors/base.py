"""Executors: what measures a Plan (`Executor`), and what works off the tasks of a sweep (`SweepExecutor`).

A package announces a `SweepExecutor` by an entry point, as isobench does its own:

    [options.entry_points]
    isobench.executors =
        local = isobench.executors.local_sweep:LocalSweepExecutor
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from isobench.console import Progress
    from isobench.planning.plan import Plan
    from isobench.results import SavedResult
    from isobench.sweeps.folder import SweepFolder
    from isobench.sweeps.task import Task


class Executor(Protocol):
    """Measures plans: on this machine (`local`), or wherever a plan can be sent."""

    def run(self, plan: Plan, progress: Progress) -> Iterator[SavedResult]:
        """Measure every Case of the plan, and yield each Result once it is saved.

        A Case that fails is a Result as well; the others continue.
        """


class SweepExecutor(Protocol):
    """Works off the tasks of a sweep: here (`local`), or on the nodes of a cluster (`slurm`).

    `detaches`: the tasks go on when the process that submitted them is interrupted. `fixed` are the options that change
    what is measured: a sweep that was started keeps them.
    """

    detaches: ClassVar[bool]
    fixed: ClassVar[frozenset[str]]

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raises:
        UsageError: an option is unknown, or its value isn't allowed.
        """

    def check(self) -> None:
        """Raises:
        UsageError: it can't be used here: a command, a package or a partition is missing.
        """

    def prepare(self, folder: SweepFolder, progress: Progress) -> tuple[Task, ...]:
        """Make all environments and builds, wherever the tasks need them; return the tasks to measure.

        A task whose build fails is among them, without cases.
        """

    def run(self, folder: SweepFolder, tasks: Sequence[Task], progress: Progress) -> Iterator[SavedResult]:
        """Measure the tasks, and yield each Result once it lies in the sweep's folder.

        A task that is at work already, because another process submitted it, is waited for. A task that is lost for
        good (its node is gone in each of `sweep.attempts` attempts) yields a failed Result of kind `lost`.
        """

    def pending(self, folder: SweepFolder) -> Mapping[str, str]:
        """The tasks that are at work or wait for it: key -> in words, "running on node3 (job 1234_5)"."""

    def cancel(self, folder: SweepFolder) -> int:
        """Stop the tasks that are at work; their number. What is measured stays."""
