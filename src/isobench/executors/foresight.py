"""What a sweep would measure, and what it would make before: nothing is run, made or written to find out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from isobench import codec, environments
from isobench.environments import Environment, Spec
from isobench.errors import IsobenchError
from isobench.executors.cases import Cases
from isobench.planning.plan import Plan
from isobench.record import record
from isobench.runtimes.registry import Entry
from isobench.sweeps.task import PlannedCase, Task
from isobench.tools.base import State, build_environment

if TYPE_CHECKING:
    from isobench.builds import Build
    from isobench.planning.models import Model


@record(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """The tasks, with their Cases where their builds and environments are there; and the names of what is missing."""

    tasks: tuple[Task, ...]
    environments: tuple[str, ...]
    builds: tuple[str, ...]


def foresee(tasks: Iterable[Task]) -> Foreseen:
    """Look for the builds and environments of tasks that aren't prepared yet."""
    stock = _Stock()
    found = tuple(replace(task, cases=tuple(_Foresight(task.plan, stock).cases())) for task in tasks)
    return Foreseen(tasks=found, environments=tuple(stock.environments), builds=tuple(stock.builds))


class _NotMadeError(IsobenchError):
    """It doesn't exist, and nothing is made here."""


class _Stock:
    """What was found, so that it is looked for once; dicts stand for sets in their order."""

    def __init__(self) -> None:
        self.environments: dict[str, None] = {}
        self.builds: dict[str, None] = {}
        self.found: dict[str, tuple[Build, ...] | None] = {}
        self.ready: dict[Spec, Environment] = {}


class _Refusing:
    """Progress of work that isn't done: a stage of it is refused."""

    def begin(self, what: str) -> None:
        """Raises:
        _NotMadeError: always.
        """
        raise _NotMadeError(what)

    stage = begin

    def note(self, text: str) -> None:
        """Nothing is printed."""

    end = note


class _Foresight(Cases):
    """The Cases of a plan, of builds and environments that are there."""

    def __init__(self, plan: Plan, stock: _Stock) -> None:
        super().__init__(plan, _Refusing())
        self._stock = stock

    def cases(self) -> Sequence[PlannedCase]:
        """The Cases with their keys; none if one of them isn't known."""
        planned = []
        whole = True
        for model in self.plan.models:
            for case, error in self.of(model):
                if error is not None:
                    whole = whole and not isinstance(error, _NotMadeError)
                    continue
                try:
                    case.prepare(self.ready)
                except _NotMadeError:
                    whole = False
                except IsobenchError:  # it will fail in the same way when it's measured
                    pass
                planned.append(PlannedCase(label=case.label, case_key=str(case.key)))
        return planned if whole else []

    def ready(self, spec: Spec) -> Environment:
        """Raises:
        _NotMadeError: it isn't installed.
        """
        if spec not in self._stock.ready:
            chosen = environments.choose(spec, note=lambda _note: None)
            found = environments.find(chosen)
            if found is None:
                self._stock.environments[chosen.name] = None
                raise _NotMadeError(chosen.name)
            self._stock.ready[spec] = found
        return self._stock.ready[spec]

    def builds(self, state: State, *, onnx: bool) -> tuple[Build, ...]:
        """Raises:
        _NotMadeError: it isn't in the cache.
        """
        model, settings = state.model, state.settings
        request = [codec.encode(model), onnx, settings.seed, settings.opset, settings.max_depth]
        key = json.dumps(request, sort_keys=True, default=str)
        if key not in self._stock.found:
            self._stock.found[key] = self._look_up(model, state, onnx=onnx)
        found = self._stock.found[key]
        if found is None:
            raise _NotMadeError(model.name)
        return found

    def prepared(self, entry: Entry, model: Model) -> State:
        """Raises:
        _NotMadeError: always; the tools of a sequence would have to run.
        """
        raise _NotMadeError(f"{entry.label} prepares {model.name} itself")

    def _look_up(self, model: Model, state: State, *, onnx: bool) -> tuple[Build, ...] | None:
        from isobench import builds

        try:
            environment = self.ready(build_environment(model, self))
            found = builds.find(model, onnx=onnx, environment=environment, settings=state.settings)
        except _NotMadeError:
            found = None
        if found is None:
            sizes = {} if model.is_script else model.dimensions
            words = [model.name, *model.script_args, *(f"{name}={size}" for name, size in sizes.items())]
            self._stock.builds[" ".join(words)] = None
        return None if found is None else tuple(found)
