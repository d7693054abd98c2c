"""LocalExecutor: measures on this machine, one Case after the other, and saves each Result at once.

An error of one Case becomes its Result; the others continue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from isobench import environments, interrupts
from isobench.environments import Environment, Spec
from isobench.errors import ChangedBuildError, IsobenchError, unexpected
from isobench.executors.cases import Bench, Cases
from isobench.failures import Ending
from isobench.measuring.case import Case
from isobench.planning.models import Model
from isobench.planning.settings import Settings
from isobench.runtimes.registry import Entry
from isobench.system import devices, leftovers
from isobench.tools.base import State, Tool, build_environment
from isobench.tools.sequence import Sequence as ToolSequence
from isobench.tools.sequence import advance

if TYPE_CHECKING:
    from isobench.builds import Build
    from isobench.console import Progress
    from isobench.planning.plan import Plan
    from isobench.results import Result, SavedResult

Before = Callable[[Case], "SavedResult | None"]
"""Called with a Case that is ready, before the device is taken: a stored Result that is used in place of measuring.

An `IsobenchError` that it raises is the Case's failure.
"""
_NOT_CACHED = IsobenchError("nothing is built here")
_REFUSED = "a request that is refused is no result"
_OF_THE_VALUES = {Ending.PROTOCOL, Ending.INTERNAL}
"""Why a Result can't be saved: its values are no JSON. Of every other kind, the disk is the reason."""


class LocalExecutor:
    """Measures on this machine.

    `before` may have a Result of a Case already; `unbuilt` is asked in the same way before the Case is built.
    """

    def __init__(self, *, before: Before | None = None, unbuilt: Before | None = None) -> None:
        self._before = before
        self._unbuilt = unbuilt

    def run(self, plan: Plan, progress: Progress) -> Iterator[SavedResult]:
        """Measure the plan's Cases, model by model or interleaved; each Result is saved before it is yielded.

        One that can't be saved is yielded without a folder; on an interrupt, so is the cancelled one of each Case that
        was at work, before KeyboardInterrupt is raised.
        """
        work = _Work(plan, progress, self._before)
        if plan.interleaved:
            yield from work.interleaved()
            return
        for model in plan.models:
            entries = list(work.entries)
            if self._unbuilt is not None:
                stored = [self._unbuilt(work.case(entry, model)) for entry in entries]
                yield from work.shown(stored)
                entries = [entry for entry, known in zip(entries, stored, strict=True) if known is None]
            for case, error in work.of(model, entries):
                try:
                    saved = work.failed(case, error) if error else work.measured(case)
                except KeyboardInterrupt:
                    yield work.cancelled(case)
                    raise
                yield saved

    def failed(self, plan: Plan, error: IsobenchError, progress: Progress) -> Iterator[SavedResult]:
        """Save a failed Result for each Case of a plan that nobody can measure, such as one whose node was lost.

        Builds that are in the cache are used to name the Cases; nothing is built.
        """
        work = _Unmeasured(plan, progress)
        for model in plan.models:
            for case, _ in work.of(model):
                yield work.failed(case, error)

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
            steps, done = tuple(tools), 0
            state = State(model=model, settings=settings, alone=len(models) == 1)
            try:
                libraries = [_Work(plan, progress).by_library(model) for plan in plans.values()]
                library = next((library for groups in libraries for library in groups if library), None)
                state = replace(state, model=replace(model, custom_op_library=library))
                for reached in advance(state, steps, at_work):
                    at_work.measured = []
                    yield from reached.results[len(state.results) :]
                    state, done = reached, done + 1
            except KeyboardInterrupt:
                yield from at_work.measured
                raise
            except BaseException as error:  # noqa: BLE001 - whatever it is, the other models go on
                reason = unexpected(error, f"running {steps[done].name} of {model.name}")
                lost = [plans[tool] for tool in steps[done:] if tool in plans]
                for plan in lost:
                    yield from _Work(plan, progress).failed_on_all(model, reason)
                failures += [] if lost else [reason]
                continue
            for build in state.builds if not plans else ():
                progress.note(f"{build.name}::{build.hash} {build.signature}  in {build.folder}")
        if failures:
            raise failures[0]


class _Sequence(Bench):
    """A sequence of tools at work."""

    def __init__(self, plans: Mapping[Tool, Plan], progress: Progress) -> None:
        super().__init__(progress)
        self.plans = plans
        self.measured: list[SavedResult] = []
        """The Results of the tool that is at work."""

    def measure(self, tool: Tool, state: State) -> Sequence[SavedResult]:
        plan = self.plans[tool]
        built = replace(plan.settings, opset=state.settings.opset, max_depth=state.settings.max_depth)
        work = _Work(replace(plan, settings=built), self.progress)
        for case in work.all_of(state):
            try:
                self.measured.append(work.measured(case))
            except KeyboardInterrupt:
                self.measured.append(work.cancelled(case))
                raise
        return self.measured


class _Work(Cases):
    """A plan at work."""

    def __init__(self, plan: Plan, progress: Progress, before: Before | None = None) -> None:
        super().__init__(plan, progress)
        self._before = before

    def measured(self, case: Case, *, rebuilt: bool = False) -> SavedResult:
        """Measure one Case, unless it has a Result already. A failure is a Result as well.

        If its build was changed since it was looked up, it is built again, once (`rebuilt`).
        """
        try:
            stored = self._ready(case)
            if stored is not None:
                [shown] = self.shown([stored])
                return shown
            self.progress.begin(case.label)
            with self._measuring(case):
                result = case.measure()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the other Cases go on
            again = self._again(case, error) if isinstance(error, ChangedBuildError) and not rebuilt else None
            return self.measured(again, rebuilt=True) if again else self.failed(case, case.failure(error))
        [saved] = self._saved((case, result))
        return saved

    def _again(self, case: Case, error: ChangedBuildError) -> Case | None:
        """The same Case with a build of now; None if the model has changed, or can't be built any more."""
        self.progress.note(f"{error.message}; it is built again")
        hash_ = case.build.hash if case.build else ""
        found = (one for one, problem in self.of(case.model, [case.entry]) if problem is None)
        again = next((one for one in found if one.build and one.build.hash == hash_ and one.steps == case.steps), None)
        if again:
            for run_dir in case.run_dirs:
                leftovers.remove(run_dir)
        return again

    def all_of(self, state: State) -> Iterator[Case]:
        """The builds of a sequence on every runtime."""
        steps = state.steps[:-1]  # the last is the benchmark itself
        for build in state.builds:
            for entry in self.entries:
                yield self.case(entry, state.model, build, steps)

    def failed_on_all(self, model: Model, error: IsobenchError) -> Iterator[SavedResult]:
        """A failed Result for each runtime."""
        for entry in self.entries:
            yield self.failed(self.case(entry, model), error)

    def failed(self, case: Case, error: IsobenchError) -> SavedResult:
        """Save the failed Result of a Case."""
        [saved] = self._saved((case, case.failed(error)))
        return saved

    def cancelled(self, case: Case) -> SavedResult:
        """The Result of a Case that was interrupted. It isn't saved: `resume` measures the Case."""
        from isobench.results import SavedResult

        error = IsobenchError(f"{case.label} was interrupted", kind=Ending.CANCELLED)
        return SavedResult(result=case.failed(error), folder=None, problem=error.message)

    def interleaved(self) -> Iterator[SavedResult]:
        """Measure all Cases interleaved, unless every one has a Result already. Their Results are saved together."""
        from isobench.measuring import interleaving

        ready: list[Case] = []
        stored: list[SavedResult] = []
        outcomes: list[tuple[Case, Result | IsobenchError]] = []
        for case, error in (found for model in self.plan.models for found in self.of(model)):
            try:
                if error is not None:
                    raise error
                found = self._ready(case)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the other Cases go on
                outcomes.append((case, case.failure(error)))
            else:
                ready.append(case)
                stored += [found] if found is not None else []
        if len(stored) == len(ready):
            yield from self.shown(stored)
        else:
            self.progress.begin(" and ".join(case.label for case in ready))
            try:
                with self._measuring(*ready):
                    outcomes += [*interleaving.measure(ready, self.plan.settings, self.progress.stage)]
            except KeyboardInterrupt:
                yield from self._saved(*outcomes)
                yield from map(self.cancelled, ready)
                raise
            except BaseException as error:  # noqa: BLE001 - each of them is a Result
                outcomes += [(case, case.failure(error)) for case in ready]
            self.progress.end("interleaved")
        for saved, (case, _) in zip(self._saved(*outcomes), outcomes, strict=True):
            self.progress.note(f"{case.label}: {_status(saved.result)}")
            yield saved

    def shown(self, stored: Iterable[SavedResult | None]) -> Iterator[SavedResult]:
        """The stored Results among these, each reported."""
        for one in stored:
            if one is not None:
                result = one.result
                when = f"{result.outcome.status} before, on {result.started_at[:10]}"
                self.progress.note(f"{result.model.name} on {result.runtime.label}: {when}")
                yield one

    def _ready(self, case: Case) -> SavedResult | None:
        """Prepare the Case; its stored Result, if it needs no measuring."""
        case.prepare(self.ready)
        return self._before(case) if self._before is not None else None

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
        family = next((entry.cls.hardware for entry in self.entries if entry.cls.hardware), "")
        device = replace(self.device, family=family) if family else self.device
        return devices.exclusive(device, timeout_s=self.plan.wait_s, on_wait=self.progress.stage)

    def _saved(self, *ended: tuple[Case, Result | IsobenchError]) -> list[SavedResult]:
        """Save the Results of Cases. If this process is killed, those of several are all there, or none."""
        from isobench import results

        found = [(case, case.failed(one) if isinstance(one, IsobenchError) else one) for case, one in ended]
        wanted = [each for each in found if each[1].ending is not Ending.USAGE or self.plan.sweep is not None]
        folders: Sequence[Path | IsobenchError]
        try:
            with interrupts.Held():
                folders = results.save_together(
                    [(result, case.run_dirs) for case, result in wanted], root=self.plan.results
                )
        except BaseException as error:  # noqa: BLE001 - what was measured is shown all the same
            reason = unexpected(error, f"saving {' and '.join(case.label for case, _ in wanted)}")
            folders = [reason] * len(wanted)
        of = {result.id: folder for (_, result), folder in zip(wanted, folders, strict=True)}
        return [self._reported(case, result, of.get(result.id)) for case, result in found]

    def _reported(self, case: Case, result: Result, folder: Path | IsobenchError | None) -> SavedResult:
        """Report a Result in its folder; of one that isn't saved, why not (None: the request was refused)."""
        from isobench.results import Measured, SavedResult

        if folder is None:
            self.progress.end("refused")
            return SavedResult(result=result, folder=None, problem=_REFUSED)
        if isinstance(folder, Path):
            self.progress.end(_status(result))
            return SavedResult(result=result, folder=folder)
        if folder.kind in _OF_THE_VALUES and isinstance(result.outcome, Measured):
            return self.failed(case, folder)
        problem = ". ".join(filter(None, [folder.message, folder.hint.rstrip(".")]))
        self.progress.note(problem)
        self.progress.end(_status(result))
        return SavedResult(result=result, folder=None, problem=problem)


class _Unmeasured(_Work):
    """A plan whose Cases are only named: what isn't in the cache is left out of their CaseKeys."""

    def builds(self, state: State, *, onnx: bool) -> tuple[Build, ...]:
        from isobench import builds

        environment = self.ready(build_environment(state.model, self))
        found = builds.find(state.model, onnx=onnx, environment=environment, settings=state.settings)
        if not found:
            raise _NOT_CACHED
        return tuple(found)

    def prepared(self, entry: Entry, model: Model) -> State:
        raise _NOT_CACHED

    def ready(self, spec: Spec) -> Environment:
        found = environments.find(environments.choose(spec, note=lambda _note: None))
        if found is None:
            raise _NOT_CACHED
        return found


def _status(result: Result) -> str:
    """How a Case ended, in a word or two."""
    from isobench.results import Measured

    return f"{result.latency.mean_s * 1000:.4g} ms" if isinstance(result.outcome, Measured) else "failed"
