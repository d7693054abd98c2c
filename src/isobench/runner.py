"""Cases -> Results: builds what is missing, measures one Case after the other, and saves each Result as it comes.

Whatever goes wrong with one Case becomes its Result; the others go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from isobench import builds, devices, environments
from isobench.builds import Build
from isobench.case import Case, Plan
from isobench.environments import Environment, Spec
from isobench.errors import IsobenchError, ModelError
from isobench.models import Model
from isobench.runtimes.registry import Entry

if TYPE_CHECKING:
    from isobench.results import Result


class Progress(Protocol):
    """Who is told how far the work is."""

    def begin(self, what: str) -> None:
        """Another piece of work starts: a model's build, a case."""

    def stage(self, text: str) -> None:
        """What is going on in it now."""

    def note(self, text: str) -> None:
        """Something that is worth keeping on the screen."""

    def saved(self, result: Result, folder: Path) -> None:
        """A Result was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A Result and the folder that holds it."""

    result: Result
    folder: Path


def run(plan: Plan, progress: Progress) -> Iterator[Saved]:
    """Measure the plan's Cases, model by model or all of them in turns; each Result is on disk before it is yielded."""
    work = _Work(plan, progress)
    if plan.in_turns:
        yield from work.in_turns()
        return
    for model in plan.models:
        for found in work.cases(model):
            yield found if isinstance(found, Saved) else work.measured(found)


class _Work:
    """A plan at work."""

    def __init__(self, plan: Plan, progress: Progress) -> None:
        self.plan = plan
        self.progress = progress

    def cases(self, model: Model) -> Iterator[Case | Saved]:
        """The Cases of a model, each with its build; of those that can't be measured, the Result that says so."""
        able = []
        for entry in self.plan.runtimes:
            refusal = entry.cls.takes_scripts_only
            if refusal and not model.is_script:
                reason = f"{entry.name} can't run {model.path.name}: {refusal}"
                yield self._failed(self._case(entry, model), ModelError(reason, hint="Give the script, or use -r ort."))
            else:
                able.append(entry)
        if not able:
            return
        try:
            made = self._builds(model, onnx=any(entry.build_required for entry in able))
        except IsobenchError as error:
            for entry in able:
                yield self._failed(self._case(entry, model), error)
            return
        for build in made:
            for entry in able:
                yield self._case(entry, model, build)

    def measured(self, case: Case) -> Saved:
        """Measure one Case. A failure is a Result, too."""
        try:
            case.prepare(self._ready)
            self.progress.begin(f"{case.name} on {case.entry.name}")
            with self._device():
                result = case.measure()
        except IsobenchError as error:
            return self._failed(case, error)
        return self._save(result, case)

    def in_turns(self) -> Iterator[Saved]:
        """Measure all Cases interleaved."""
        from isobench import turns

        ready: list[Case] = []
        for model in self.plan.models:
            for found in self.cases(model):
                if isinstance(found, Saved):
                    yield found
                    continue
                try:
                    found.prepare(self._ready)
                    ready.append(found)
                except IsobenchError as error:
                    yield self._failed(found, error)
        self.progress.begin(" and ".join(f"{case.name} on {case.entry.name}" for case in ready))
        with self._device():
            outcomes = list(turns.measure(ready, self.plan.settings, self.progress.stage))
        for case, outcome in outcomes:
            yield self._failed(case, outcome) if isinstance(outcome, IsobenchError) else self._save(outcome, case)

    def _device(self) -> AbstractContextManager[None]:
        timeout_s = None if self.plan.wait else 0
        return devices.exclusive(self.plan.device, timeout_s=timeout_s, on_wait=self.progress.stage)

    def _case(self, entry: Entry, model: Model, build: Build | None = None) -> Case:
        return Case(self.plan, entry, model, build, on_stage=self.progress.stage)

    def _builds(self, model: Model, *, onnx: bool) -> list[Build]:
        # An .onnx file's expected outputs come from ONNX Runtime with its optimisations off.
        spec = (
            environments.for_script(model.path, progress=self.progress.stage)
            if model.is_script
            else environments.spec("ort")
        )
        environment = self._ready(spec)
        settings = self.plan.settings
        found = builds.find(model, onnx=onnx, environment=environment, settings=settings)
        if found is not None:
            return found
        self.progress.begin(f"building {model.name}")
        environments.check(environment)
        return builds.make(model, onnx=onnx, environment=environment, settings=settings, on_stage=self.progress.stage)

    def _ready(self, spec: Spec) -> Environment:
        """The environment, made from its lock if it isn't there yet; one that is there is never changed."""
        chosen = environments.choose(spec, note=self.progress.note)
        found = environments.find(chosen)
        if found is not None:
            return found
        self.progress.begin("provisioning")
        return environments.create(chosen, progress=self.progress.stage)

    def _failed(self, case: Case, error: IsobenchError) -> Saved:
        return self._save(case.failed(error), case)

    def _save(self, result: Result, case: Case) -> Saved:
        from isobench import results

        folder = results.save(result, run_dirs=case.run_dirs, root=self.plan.results)
        self.progress.saved(result, folder)
        return Saved(result=result, folder=folder)
