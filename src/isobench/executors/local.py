"""LocalExecutor: measures on this machine, one Case after the other, and saves each Result at once.

An error of one Case becomes its Result; the others continue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from isobench import environments
from isobench.environments import Environment, Spec
from isobench.errors import IsobenchError, ModelError, UsageError, unexpected
from isobench.measuring.case import Case
from isobench.planning.models import Model, Step
from isobench.planning.settings import Settings
from isobench.runtimes import registry
from isobench.runtimes.registry import Entry
from isobench.system import devices
from isobench.tools.base import State, Tool, builds_of
from isobench.tools.sequence import Sequence as ToolSequence
from isobench.tools.sequence import advance

if TYPE_CHECKING:
    from isobench.builds import Build
    from isobench.console import Progress
    from isobench.planning.plan import Plan
    from isobench.results import Result, SavedResult


class LocalExecutor:
    """Measures on this machine."""

    def run(self, plan: Plan, progress: Progress) -> Iterator[SavedResult]:
        """Measure the plan's Cases, model by model or interleaved; each Result is saved before it is yielded."""
        work = _Work(plan, progress)
        if plan.interleaved:
            yield from work.interleaved()
            return
        for model in plan.models:
            for found in work.cases(model):
                yield work.measured(found) if isinstance(found, Case) else found

    def run_sequence(
        self,
        tools: ToolSequence,
        models: Sequence[Model],
        settings: Settings,
        plans: Mapping[Tool, Plan],
        progress: Progress,
    ) -> Iterator[SavedResult]:
        """Take each model through the tools; `plans` holds one for each tool that measures.

        If a tool fails for one model, each measurement after it becomes a failed Result, and the other models continue.
        If nothing is measured, the folders of the builds are reported.

        Raises:
            IsobenchError: a tool failed, and no measurement follows it.
        """
        at_work = _Sequence(plans, progress)
        failures = []
        for model in models:
            libraries = [_Work(plan, progress).by_library(model) for plan in plans.values()]
            library = next((library for groups in libraries for library in groups if library), None)
            source = replace(model, custom_op_library=library)
            state, done = State(model=source, settings=settings, alone=len(models) == 1), 0
            steps = tuple(tools)
            try:
                for reached in advance(state, steps, at_work):
                    yield from reached.results[len(state.results) :]
                    state, done = reached, done + 1
            except Exception as error:  # noqa: BLE001 - whatever it is, the other models go on
                reason = unexpected(error, f"{steps[done].name} of {model.name}")
                lost = [plans[tool] for tool in steps[done:] if tool in plans]
                for plan in lost:
                    yield from _Work(plan, progress).failed_on_all(model, reason)
                failures += [] if lost else [reason]
                continue
            for build in state.builds if not plans else ():
                progress.note(f"{build.name}::{build.hash} {build.signature}  in {build.folder}")
        if failures:
            raise failures[0]


class _Bench:
    """What every kind of work needs: environments and progress."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def begin(self, what: str) -> None:
        self.progress.begin(what)

    def stage(self, text: str) -> None:
        self.progress.stage(text)

    def ready(self, spec: Spec) -> Environment:
        """The environment, created from its lock unless it exists; one that exists is never changed."""
        chosen = environments.choose(spec, note=self.progress.note)
        found = environments.find(chosen)
        if found is not None:
            return found
        self.progress.begin("installing the environment")
        return environments.create(chosen, progress=self.progress.stage)

    def measure(self, tool: Tool, state: State) -> Sequence[SavedResult]:
        """Raises:
        UsageError: always; a model is only prepared here.
        """
        raise UsageError(f"{tool.name} can't measure in a runtime's default_sequence, which only prepares a model")


class _Sequence(_Bench):
    """A sequence of tools at work."""

    def __init__(self, plans: Mapping[Tool, Plan], progress: Progress) -> None:
        super().__init__(progress)
        self.plans = plans

    def measure(self, tool: Tool, state: State) -> Sequence[SavedResult]:
        plan = self.plans[tool]
        built = replace(plan.settings, opset=state.settings.opset, max_depth=state.settings.max_depth)
        return _Work(replace(plan, settings=built), self.progress).measured_all(state)


class _Work(_Bench):
    """A plan at work."""

    def __init__(self, plan: Plan, progress: Progress) -> None:
        super().__init__(progress)
        self.plan = plan
        self.device = registry.device(plan.device)
        self.entries = tuple(registry.get(choice, self.device) for choice in plan.runtimes)

    def cases(self, model: Model) -> Iterator[Case | SavedResult]:
        """The Cases of a model, each with its build, and a failed Result for each that can't be measured."""
        able = []
        for entry in self.entries:
            refusal = _refusal(entry, model)
            if refusal is None:
                able.append(entry)
            else:
                yield self._failed(self._case(entry, model), refusal)
        # Runtimes without a sequence of their own share their builds.
        usual = [entry for entry in able if entry.default_sequence is None]
        yield from self._usual_cases(usual, model)
        for entry in able:
            if entry not in usual:
                yield from self._own_cases(entry, model)

    def measured(self, case: Case) -> SavedResult:
        """Measure one Case. A failure is a Result as well."""
        try:
            case.prepare(self.ready)
            self.progress.begin(case.label)
            with self._measuring(case):
                result = case.measure()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other Cases go on
            return self._failed(case, unexpected(error, f"measuring {case.label}"))
        return self._save(result, case)

    def measured_all(self, state: State) -> list[SavedResult]:
        """Measure the builds of a sequence on every runtime."""
        steps = state.steps[:-1]  # the last is the benchmark itself
        return [
            self.measured(self._case(entry, state.model, build, steps))
            for build in state.builds
            for entry in self.entries
        ]

    def failed_on_all(self, model: Model, error: IsobenchError) -> Iterator[SavedResult]:
        """A failed Result for each runtime."""
        for entry in self.entries:
            yield self._failed(self._case(entry, model), error)

    def interleaved(self) -> Iterator[SavedResult]:
        """Measure all Cases interleaved."""
        from isobench.measuring import interleaving

        ready: list[Case] = []
        for model in self.plan.models:
            for found in self.cases(model):
                if not isinstance(found, Case):
                    yield found
                    continue
                try:
                    found.prepare(self.ready)
                    ready.append(found)
                except Exception as error:  # noqa: BLE001 - whatever it is, the other Cases go on
                    yield self._failed(found, unexpected(error, f"preparing {found.label}"))
        self.progress.begin(" and ".join(case.label for case in ready))
        with self._measuring(*ready):
            outcomes = list(interleaving.measure(ready, self.plan.settings, self.progress.stage))
        self.progress.end("interleaved")
        for case, outcome in outcomes:
            saved = self._failed(case, outcome) if isinstance(outcome, IsobenchError) else self._save(outcome, case)
            self.progress.note(f"{case.label}: {_status(saved.result)}")
            yield saved

    def _usual_cases(self, entries: Sequence[Entry], model: Model) -> Iterator[Case | SavedResult]:
        for library, group in self.by_library(model, entries).items():
            yield from self._built_together(group, model, replace(model, custom_op_library=library))

    def by_library(self, model: Model, entries: Sequence[Entry] | None = None) -> dict[Path | None, list[Entry]]:
        """The runtimes by the library of operators that the expected outputs of an `.onnx` file need.

        Runtimes that name none share the first one: they may have the operators themselves.
        """
        groups: dict[Path | None, list[Entry]] = {}
        for entry in self.entries if entries is None else entries:
            library = None if model.is_script else entry.custom_op_library(self.plan.rt_args)
            groups.setdefault(library, []).append(entry)
        if None in groups and len(groups) > 1:
            others = groups.pop(None)
            next(iter(groups.values())).extend(others)
        return groups

    def _built_together(self, entries: Sequence[Entry], model: Model, source: Model) -> Iterator[Case | SavedResult]:
        state = State(model=source, settings=self.plan.settings)
        try:
            made = builds_of(state, self, onnx=any(entry.build_required for entry in entries))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other models go on
            reason = unexpected(error, f"building {model.name}")
            for entry in entries:
                yield self._failed(self._case(entry, model), reason)
            return
        for build in made:
            for entry in entries:
                yield self._case(entry, model, build, self._usual_steps(entry, model))

    def _usual_steps(self, entry: Entry, model: Model) -> list[Step]:
        if not model.is_script:
            return [Step(tool="load-onnx")]
        export = Step(tool="export-pytorch", options={"opset": self.plan.settings.opset})
        return [Step(tool="discover"), *([export] if entry.build_required else [])]

    def _own_cases(self, entry: Entry, model: Model) -> Iterator[Case | SavedResult]:
        """The Cases of a runtime that has a sequence of its own."""
        state = State(model=model, settings=self.plan.settings)
        try:
            assert entry.default_sequence is not None
            preparing = entry.default_sequence.preparing(model)
            assert isinstance(preparing, ToolSequence)
            for reached in advance(state, tuple(preparing), self):
                state = reached
        except Exception as error:  # noqa: BLE001 - whatever it is, the other models go on
            yield self._failed(self._case(entry, model), unexpected(error, f"preparing {model.name}"))
            return
        for build in state.builds:
            yield self._case(entry, model, build, state.steps)

    @contextmanager
    def _measuring(self, *cases: Case) -> Iterator[None]:
        """Hold the device; on an interrupt, remove what the Cases' workers wrote."""
        with self._device():
            try:
                yield
            except KeyboardInterrupt:
                import shutil

                for run_dir in (run_dir for case in cases for run_dir in case.run_dirs):
                    shutil.rmtree(run_dir, ignore_errors=True)
                raise

    def _device(self) -> AbstractContextManager[None]:
        timeout_s = None if self.plan.wait else 0
        family = next((entry.cls.hardware for entry in self.entries if entry.cls.hardware), "")
        device = replace(self.device, family=family) if family else self.device
        return devices.exclusive(device, timeout_s=timeout_s, on_wait=self.progress.stage)

    def _case(self, entry: Entry, model: Model, build: Build | None = None, steps: Sequence[Step] = ()) -> Case:
        return Case(self.plan, entry, model, build, steps=steps, on_stage=self.progress.stage)

    def _failed(self, case: Case, error: IsobenchError) -> SavedResult:
        return self._save(case.failed(error), case)

    def _save(self, result: Result, case: Case) -> SavedResult:
        from isobench import results
        from isobench.results import SavedResult

        folder = results.save(result, run_dirs=case.run_dirs, root=self.plan.results)
        self.progress.end(_status(result))
        return SavedResult(result=result, folder=folder)


def _refusal(entry: Entry, model: Model) -> ModelError | None:
    """Why the runtime can't run a file of that kind; None if it can."""
    if model.is_script:
        return None
    reason, hint = entry.cls.takes_scripts_only, "Give the script instead, or use -r ort."
    if model.is_ort_format and not entry.cls.takes_ort_format and not reason:
        reason, hint = "only ONNX Runtime reads its format", "Give the .onnx file that it was made of, or use -r ort."
    return ModelError(f"{entry.label} can't run {model.path.name}: {reason}", hint=hint) if reason else None


def _status(result: Result) -> str:
    """How a Case ended, in a word or two."""
    from isobench.results import Measured

    return f"{result.latency.mean_s * 1000:.4g} ms" if isinstance(result.outcome, Measured) else "failed"
