"""The outputs that are expected of a Case, and what the outputs of its runs are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isobench.errors import WorkerError
from isobench.failures import Ending
from isobench.planning.models import Model

if TYPE_CHECKING:
    from isobench.analysis.correctness import Correctness
    from isobench.builds import Build
    from isobench.runtimes.base import BaseRT
    from isobench.supervisor.outputs import WorkerOutputs


class ExpectedOutputs:
    """The expected outputs of each set of inputs, read when this is made: later the build may be removed.

    Raises:
        OSError: a file of the build is missing, or can't be read.
        ProtocolError: it's malformed.
    """

    def __init__(self, model: Model, build: Build) -> None:
        from isobench.analysis.correctness import Expected
        from isobench.workers import protocol

        self._build = build
        self._names = [one.input_set for one in build.every_set]
        self._sets = [
            Expected.of(
                protocol.read_tensors(one.expected_file),
                one.spreads,
                protocol.read_tensors(one.unstable_file) if one.unstable_file.exists() else (),
                drawn=not model.is_script and any(not values.rule.startswith("given") for values in one.input_values),
            )
            for one in build.every_set
        ]

    def compare(self, runtime: BaseRT, outputs: WorkerOutputs) -> Correctness:
        """How the outputs of a run compare with these. If its weights were others, the build isn't used again.

        Raises:
            WorkerError: the worker measured another number of sets of inputs.
        """
        from isobench.analysis import correctness

        built, measured = self._build.weights_sha256, outputs.facts.get("weights_sha256")
        first, *others = [one.for_weights(built, measured) for one in self._sets]
        if first.other_weights:  # what the script read has changed unseen: on the network, say
            from isobench.builds import cache

            cache.forget(self._build.id)
        if outputs.sets != len(self._sets):
            raise WorkerError(
                f"{outputs.sets} of {len(self._sets)} sets of inputs were measured",
                kind=Ending.PROTOCOL,
                hint="Give one set in each call.",
            )
        compared = [correctness.compare(first, runtime.output_tensors())]
        compared += [
            correctness.compare(one, runtime.outputs_of_set(place)) for place, one in enumerate(others, start=1)
        ]
        return correctness.worst_of(compared, self._names)
