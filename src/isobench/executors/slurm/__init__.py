"""SlurmExecutor: measures the tasks of a sweep on the nodes of a Slurm cluster, one task of a job array for each.

`submitting` sends them, `watching` follows them, `node` is what runs there. What is true is what lies in the sweep's
folder; `squeue` and `scontrol` say what is pending.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from isobench.errors import UsageError
from isobench.executors.slurm.options import Options

if TYPE_CHECKING:
    from isobench.console import Progress
    from isobench.results import SavedResult
    from isobench.sweeps.folder import SweepFolder
    from isobench.sweeps.task import Task


class SlurmExecutor:
    """Measures on the nodes of a cluster; the jobs go on when this process is interrupted."""

    detaches: ClassVar[bool] = True
    fixed: ClassVar[frozenset[str]] = frozenset({"cpus", "exclusive", "gres"})

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = Options.of(options)

    def check(self) -> None:
        """Raises:
        UsageError: Slurm or submitit is missing, or no node fits the options.
        """
        import importlib.util

        from isobench.executors.slurm.nodes import Nodes
        from isobench.system import slurm

        missing = slurm.missing()
        if missing:
            raise UsageError(
                f"Slurm isn't here: no {', '.join(missing)} on PATH",
                hint="Start the sweep on a node that can submit jobs; on this machine: --executor local",
            )
        if importlib.util.find_spec("submitit") is None:
            raise UsageError("the executor slurm needs submitit", hint="pip install 'isobench[slurm]'")
        Nodes(self._options).allowed()

    def prepare(self, folder: SweepFolder, progress: Progress) -> tuple[Task, ...]:
        """Make all environments and builds: here, and in jobs for the architectures that this machine doesn't have."""
        from isobench.executors.slurm import preparing

        return preparing.prepare(folder, self._options, progress)

    def run(self, folder: SweepFolder, tasks: Sequence[Task], progress: Progress) -> Iterator[SavedResult]:
        """Submit the tasks that aren't at work, and yield each Result as it arrives."""
        from isobench.executors.slurm.watching import Watch

        return Watch(folder, tasks, self._options, progress).run()

    def pending(self, folder: SweepFolder) -> Mapping[str, str]:
        """The tasks that are at work or wait for it: key -> in words."""
        from isobench.executors.slurm import watching

        return watching.pending(folder)

    def cancel(self, folder: SweepFolder) -> int:
        """End this sweep's jobs, and no others; their number."""
        from isobench.executors.slurm import watching

        return watching.cancel(folder)
