"""Tool: one step of a Sequence, and the State that passes from one to the next. The authors of tools derive from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from isobench import environments, plugins
from isobench.errors import UsageError
from isobench.planning.models import Model, Step
from isobench.planning.settings import Settings
from isobench.runtimes.keywords import keywords

if TYPE_CHECKING:
    from isobench.builds import Build
    from isobench.environments import Environment, Spec
    from isobench.results import SavedResult

FACTS = {
    "script": ("a Python script", "An .onnx file begins with load-onnx."),
    "onnx-file": ("an .onnx file", "A script begins with discover."),
    "models": ("the models, with their inputs", "Put discover before it (load-onnx for an .onnx file)."),
    "onnx": ("an ONNX file of each model", "Put export-pytorch before it (load-onnx for an .onnx file)."),
    "results": ("something that was measured", "Put benchmark before it."),
}
"""What a tool may need of those before it, in words, and what brings it. A plugin's tool may add facts of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a Model has come to: one Build for each of its models, the steps that were taken, what was measured.

    `upcoming` are the names of the tools that are still to come; `settings` are those of the builds.
    """

    model: Model
    settings: Settings
    builds: tuple[Build, ...] = ()
    steps: tuple[Step, ...] = ()
    upcoming: tuple[str, ...] = ()
    results: tuple[SavedResult, ...] = ()


class Work(Protocol):
    """What a tool works with: environments, somebody to tell how far it is, and the measuring itself."""

    def ready(self, spec: Spec) -> Environment:
        """The environment, made from its lock if it isn't there yet."""

    def begin(self, what: str) -> None:
        """Another piece of work starts."""

    def stage(self, text: str) -> None:
        """What is going on in it now."""

    def measure(self, tool: Tool, state: State) -> Sequence[SavedResult]:
        """Measure the builds as a `benchmark` tool says; the results are on disk when this returns."""


class Tool(ABC):
    """One step. Its `__init__` takes its options as keywords with annotations, and keeps each under its own name.

    The command line turns `--opset 17` into `opset=17` by these annotations. `needs` and `gives` are facts (`FACTS`) by
    which a wrong order is refused before anything runs; `alters` says that what is measured isn't the plain model then.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    gives: ClassVar[tuple[str, ...]] = ()
    alters: ClassVar[bool] = False

    def options(self) -> dict[str, Any]:
        """The options, defaults included."""
        return {keyword.name: getattr(self, keyword.name) for keyword in keywords(type(self))[0]}

    def check(self, facts: frozenset[str]) -> frozenset[str]:
        """What is known after this tool, if it can come after tools that gave `facts`.

        Raises:
            UsageError: it can't.
        """
        require(self.name, self.needs, facts)
        return facts | {*self.gives, *([f"altered by {self.name}"] if self.alters else [])}

    def worker(self, name: str) -> Path:
        """A worker that lies in `workers/` of the tool's own package.

        Raises:
            UsageError: there is none of that name.
        """
        found = plugins.worker_file(type(self), name)
        if found is None:
            raise UsageError(
                f"the worker {name!r} of the tool {self.name} isn't there",
                hint="It belongs into the folder workers/ of the tool's package; is it among the package's data?",
            )
        return found

    @abstractmethod
    def run(self, state: State, work: Work) -> State:
        """Do it, and return the state that comes of it.

        Raises:
            IsobenchError: it can't be done.
        """


def require(name: str, needs: Sequence[str], facts: frozenset[str]) -> None:
    """Raises:
    UsageError: `facts` lack one of `needs`.
    """
    for need in needs:
        if need not in facts:
            what, way_out = FACTS.get(need, (need, "Put the tool that gives it before it."))
            raise UsageError(f"{name} needs {what}, and nothing before it brings that", hint=way_out)


def builds_of(state: State, work: Work, *, onnx: bool) -> tuple[Build, ...]:
    """The model's builds, from the cache where nothing has changed; `onnx` asks for an ONNX file of each.

    Raises:
        IsobenchError: it can't be built.
    """
    from isobench import builds

    model = state.model
    # An .onnx file's expected outputs come from ONNX Runtime with its optimisations off.
    spec = environments.for_script(model.path, progress=work.stage) if model.is_script else environments.spec("ort")
    environment = work.ready(spec)
    found = builds.find(model, onnx=onnx, environment=environment, settings=state.settings)
    if found is None:
        work.begin(f"building {model.name}")
        environments.check(environment)
        found = builds.make(model, onnx=onnx, environment=environment, settings=state.settings, on_stage=work.stage)
    return tuple(found)


def each_build(state: State, work: Work, name: str, change: Callable[[Build], Build]) -> State:
    """The state with `change` done to each of its builds, told as the work of the tool `name`."""
    changed = []
    for build in state.builds:
        work.begin(f"{name} of {build.name}")
        changed.append(change(build))
    return replace(state, builds=tuple(changed))


def checked_environment(name: str, work: Work) -> Environment:
    """An environment of `envs/`, made if it isn't there, and refused where it was changed by hand."""
    environment = work.ready(environments.spec(name))
    environments.check(environment)
    return environment
