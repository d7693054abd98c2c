"""The Cases of a plan: each of its models, built, on each of its runtimes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from isobench import environments
from isobench.console import Unfailing
from isobench.environments import Environment, Spec
from isobench.errors import IsobenchError, ModelError, UsageError, pass_interrupt, unexpected
from isobench.measuring.case import Case
from isobench.planning.models import Model, Step
from isobench.runtimes import registry
from isobench.runtimes.registry import Entry
from isobench.tools.base import State, Tool, builds_of
from isobench.tools.sequence import Sequence as ToolSequence
from isobench.tools.sequence import advance

if TYPE_CHECKING:
    from isobench.builds import Build
    from isobench.console import Progress
    from isobench.planning.plan import Plan
    from isobench.results import SavedResult

Found = tuple[Case, IsobenchError | None]
"""A Case, and why it can't be measured (None: it can)."""


class Bench:
    """What every kind of work needs: environments and progress."""

    def __init__(self, progress: Progress) -> None:
        self.progress = Unfailing(progress)

    def begin(self, what: str) -> None:
        self.progress.begin(what)

    def stage(self, text: str) -> None:
        self.progress.stage(text)

    def note(self, text: str) -> None:
        self.progress.note(text)

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


class Cases(Bench):
    """Makes the Cases of a plan."""

    def __init__(self, plan: Plan, progress: Progress) -> None:
        super().__init__(progress)
        self.plan = plan
        self.device = registry.device(plan.device)
        self.entries = tuple(registry.get(choice, self.device) for choice in plan.runtimes)

    def of(self, model: Model, entries: Sequence[Entry] | None = None) -> Iterator[Found]:
        """The Cases of a model, each with its build, or with the reason why it can't be measured.

        `entries` are some of the plan's runtimes (None: all).
        """
        able = []
        for entry in self.entries if entries is None else entries:
            refused = refusal(entry, model)
            if refused is None:
                able.append(entry)
            else:
                yield self.case(entry, model), refused
        # Runtimes without a sequence of their own share their builds.
        usual = [entry for entry in able if entry.default_sequence is None]
        for library, group in self.by_library(model, usual).items():
            yield from self._built_together(group, model, replace(model, custom_op_library=library))
        for entry in able:
            if entry not in usual:
                yield from self._own_cases(entry, model)

    def by_library(self, model: Model, entries: Sequence[Entry] | None = None) -> dict[Path | None, list[Entry]]:
        """The runtimes by the library of operators that the expected outputs of an `.onnx` file need.

        Runtimes that name none share the first one: they may have the operators themselves.
        """
        groups: dict[Path | None, list[Entry]] = {}
        for entry in self.entries if entries is None else entries:
            library = None if model.is_script else self._library_of(entry)
            groups.setdefault(library, []).append(entry)
        if None in groups and len(groups) > 1:
            others = groups.pop(None)
            next(iter(groups.values())).extend(others)
        return groups

    def _library_of(self, entry: Entry) -> Path | None:
        try:
            return entry.custom_op_library(self.plan.rt_args)
        except BaseException as error:  # noqa: BLE001 - a plugin's code; its Case fails by it, when it is measured
            pass_interrupt(error)
            return None

    def case(self, entry: Entry, model: Model, build: Build | None = None, steps: Sequence[Step] = ()) -> Case:
        """One Case of the plan."""
        return Case(self.plan, entry, model, build, steps=steps, on_stage=self.progress.stage)

    def builds(self, state: State, *, onnx: bool) -> tuple[Build, ...]:
        """The builds of a model that needs no sequence of its own.

        Raises:
            Exception: building failed.
        """
        return builds_of(state, self, onnx=onnx)

    def prepared(self, entry: Entry, model: Model) -> State:
        """The model after the tools of the runtime's own sequence.

        Raises:
            Exception: a tool failed.
        """
        state = State(model=model, settings=self.plan.settings)
        assert entry.default_sequence is not None
        preparing = entry.default_sequence.preparing(model)
        assert isinstance(preparing, ToolSequence)
        for reached in advance(state, tuple(preparing), self):
            state = reached
        return state

    def _built_together(self, entries: Sequence[Entry], model: Model, source: Model) -> Iterator[Found]:
        state = State(model=source, settings=self.plan.settings)
        try:
            made = self.builds(state, onnx=any(entry.build_required for entry in entries))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the other models go on
            reason = unexpected(error, f"building {model.name}")
            for entry in entries:
                yield self.case(entry, model), reason
            return
        for build in made:
            for entry in entries:
                yield self.case(entry, model, build, self._usual_steps(entry, model)), None

    def _usual_steps(self, entry: Entry, model: Model) -> list[Step]:
        if not model.is_script:
            return [Step(tool="load-onnx")]
        export = Step(tool="export-pytorch", options={"opset": self.plan.settings.opset})
        return [Step(tool="discover"), *([export] if entry.build_required else [])]

    def _own_cases(self, entry: Entry, model: Model) -> Iterator[Found]:
        """The Cases of a runtime that has a sequence of its own."""
        try:
            state = self.prepared(entry, model)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the other models go on
            yield self.case(entry, model), unexpected(error, f"preparing {model.name}")
            return
        for build in state.builds:
            yield self.case(entry, model, build, state.steps), None


def refusal(entry: Entry, model: Model) -> ModelError | None:
    """Why the runtime can't run a file of that kind; None if it can."""
    if model.is_script:
        return None
    reason, hint = entry.cls.takes_scripts_only, "Give the script instead, or use -r ort."
    if model.is_ort_format and not entry.cls.takes_ort_format and not reason:
        reason, hint = "only ONNX Runtime reads its format", "Give the .onnx file that it was made of, or use -r ort."
    return ModelError(f"{entry.label} can't run {model.path.name}: {reason}", hint=hint) if reason else None
