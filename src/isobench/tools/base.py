"""Tool: one step of a Sequence, and the State that one passes to the next. Authors of tools derive from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from isobench import environments, plugins
from isobench.errors import UsageError
from isobench.planning.models import Model, Step
from isobench.planning.settings import Settings
from isobench.record import record
from isobench.runtimes.keywords import keywords

if TYPE_CHECKING:
    from isobench.builds import Build
    from isobench.environments import Environment, Spec
    from isobench.results import SavedResult

FACTS = {
    "script": ("a Python script", "Start with load-onnx for an .onnx file."),
    "onnx-file": ("an .onnx file", "Start with discover for a script."),
    "models": ("the models, with their inputs", "Put discover before it (load-onnx for an .onnx file)."),
    "onnx": ("an ONNX file of each model", "Put export-pytorch before it (load-onnx for an .onnx file)."),
    "results": ("a measurement", "Put benchmark before it."),
}
"""What a tool may need, in words, and a hint at the tool that provides it. A plugin's tools may add facts."""


@record(frozen=True, slots=True, kw_only=True)
class State:
    """A Model between two tools: its builds, the steps so far, and the results.

    `upcoming` are the names of the tools that follow; `settings` are those of the builds. `alone`: no other model goes
    through the same sequence.
    """

    model: Model
    settings: Settings
    builds: tuple[Build, ...] = ()
    steps: tuple[Step, ...] = ()
    upcoming: tuple[str, ...] = ()
    results: tuple[SavedResult, ...] = ()
    alone: bool = True


class Work(Protocol):
    """What a tool may use: environments, progress, and measuring."""

    def ready(self, spec: Spec) -> Environment:
        """The environment, created from its lock unless it exists."""

    def begin(self, what: str) -> None:
        """Report that another piece of work starts."""

    def stage(self, text: str) -> None:
        """Report the stage of that work."""

    def note(self, text: str) -> None:
        """Report something that stays on the screen."""

    def measure(self, tool: Tool, state: State) -> Sequence[SavedResult]:
        """Measure the builds with the options of the `benchmark` tool; the results are saved when this returns."""


class Tool(ABC):
    """One step. Its `__init__` takes its options as annotated keywords, and stores each under its name.

    The command line converts `--opset 17` to `opset=17` by these annotations. `needs` and `gives` are facts (`FACTS`):
    an order of tools that doesn't provide what one needs is refused before anything runs. `alters`: the tool changes
    what the model computes.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    gives: ClassVar[tuple[str, ...]] = ()
    alters: ClassVar[bool] = False

    def options(self) -> dict[str, Any]:
        """The options, defaults included."""
        return {keyword.name: getattr(self, keyword.name) for keyword in keywords(type(self))[0]}

    def check(self, facts: frozenset[str]) -> frozenset[str]:
        """The facts after this tool, which comes after tools that gave `facts`.

        Raises:
            UsageError: a fact is missing.
        """
        require(self.name, self.needs, facts)
        return facts | {*self.gives, *([f"altered by {self.name}"] if self.alters else [])}

    def worker(self, name: str) -> Path:
        """A worker in `workers/` of the tool's own package.

        Raises:
            UsageError: there is no such file.
        """
        found = plugins.worker_file(type(self), name)
        if found is None:
            raise UsageError(
                f"worker {name!r} of the tool {self.name} not found",
                hint="Put it into the folder workers/ of the tool's package, and declare it as package data.",
            )
        return found

    @abstractmethod
    def run(self, state: State, work: Work) -> State:
        """Apply the tool, and return the state after it.

        Raises:
            IsobenchError: the tool failed.
        """


def require(name: str, needs: Sequence[str], facts: frozenset[str]) -> None:
    """Raises:
    UsageError: `facts` lack one of `needs`.
    """
    for need in needs:
        if need not in facts:
            what, hint = FACTS.get(need, (need, "Put the tool that provides it before it."))
            raise UsageError(f"{name} needs {what}, but no tool before it provides that", hint=hint)


def builds_of(state: State, work: Work, *, onnx: bool) -> tuple[Build, ...]:
    """The model's builds, cached ones if nothing has changed; `onnx`: each must have an ONNX file.

    Raises:
        IsobenchError: building failed.
    """
    from isobench import builds

    model = state.model
    environment = work.ready(build_environment(model, work))

    def before() -> None:
        work.begin(f"building {model.name}")
        environments.check(environment)

    return tuple(
        builds.find_or_make(
            model,
            onnx=onnx,
            environment=environment,
            settings=state.settings,
            on_stage=work.stage,
            on_note=work.note,
            before=before,
        )
    )


def build_environment(model: Model, work: Work) -> Spec:
    """The environment that a script runs in; of an `.onnx` file, that in which its expected outputs are computed."""
    # ONNX Runtime computes them without optimizations.
    return environments.for_script(model.path, progress=work.stage) if model.is_script else environments.spec("ort")


def each_build(state: State, work: Work, name: str, change: Callable[[Build], Build]) -> State:
    """The state with `change` applied to each build, reported as the work of the tool `name`."""
    changed = []
    for build in state.builds:
        work.begin(f"{name} of {build.name}")
        changed.append(build if build.failure else change(build))
    return replace(state, builds=tuple(changed))


def checked_environment(name: str, work: Work) -> Environment:
    """An environment of `envs/`, created unless it exists, and refused if it was modified."""
    environment = work.ready(environments.spec(name))
    environments.check(environment)
    return environment
