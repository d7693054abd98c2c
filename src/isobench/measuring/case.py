"""One Case: its runtime, its environment, its workers, and the measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from isobench import environments, paths
from isobench.environments import Environment, Spec
from isobench.errors import ChangedBuildError, IsobenchError, unexpected
from isobench.measuring.case_result import CaseResult
from isobench.planning.models import Model, Step
from isobench.planning.plan import Plan
from isobench.runtimes.base import BaseRT, Context, as_worker_error
from isobench.runtimes.registry import Entry
from isobench.runtimes.worker_rt import WorkerRT
from isobench.system.devices import Device

if TYPE_CHECKING:
    from isobench.builds import Build
    from isobench.measuring.evaluation import CompletedRun
    from isobench.measuring.expected import ExpectedOutputs
    from isobench.planning.case_key import CaseKey
    from isobench.results import Measured, Result, Turns
    from isobench.runtimes.base import MeasuredPerformance


class Case:
    """One model on one runtime; `build` is None where building failed.

    `environment`, and the `spec` that it is made from, are None until they are known, and where the runtime needs none.
    """

    def __init__(
        self,
        plan: Plan,
        entry: Entry,
        model: Model,
        build: Build | None,
        *,
        steps: Sequence[Step] = (),
        on_stage: Callable[[str], None],
    ) -> None:
        self.plan = plan
        self.entry = entry
        self.model = model
        self.build = build
        self.steps = (*steps, Step(tool="benchmark"))
        self.run_dirs: list[Path] = []
        self._on_stage = on_stage
        self.spec: Spec | None = None
        self.environment: Environment | None = None
        self._key: CaseKey | None = None
        self._expected: ExpectedOutputs | None = None
        self._result = CaseResult(self)

    @property
    def name(self) -> str:
        return self.build.name if self.build else self.model.name

    @property
    def label(self) -> str:
        """The Case in words, for progress and messages."""
        return f"{self.name} on {self.entry.label}"

    @property
    def device(self) -> Device:
        """The device, with the default part and config of this runtime."""
        assert self.entry.device is not None, "the registry looks each runtime up for a device"
        return self.entry.device

    @property
    def key(self) -> CaseKey:
        """The identity of what is measured, complete once the Case is prepared."""
        if self._key is None:
            self._key = self._make_key()
        return self._key

    def prepare(self, ready: Callable[[Spec], Environment]) -> None:
        """Have `ready` find or create the environment.

        Raises:
            IsobenchError: the runtime needs an ONNX file and there is none, or a requirement of it is missing, or the
                environment can't be created.
        """
        assert self.build is not None
        self.build.require()
        if self.entry.build_required:
            self.build.require_onnx()
        self.find_environment(ready)

    def find_environment(self, ready: Callable[[Spec], Environment]) -> None:
        """Have `ready` find or create the environment; the build isn't needed for that.

        Raises:
            IsobenchError: a requirement of the runtime is missing, or the environment can't be created.
        """
        self.entry.require()  # before anything is installed
        self.environment = self.entry.environment
        if self.environment is None:
            self.spec = self.entry.cls.environment_for(self.model, self._on_stage)
            if self.spec is not None and self.entry.docker_required:
                self.spec = replace(self.spec, in_container=True)
            self.environment = ready(self.spec) if self.spec is not None else None
        if self.environment is not None:
            self.entry.check_package(self.environment)

    def measure(self) -> Result:
        """Measure in the requested number of runs, or until the precision is reached, and evaluate them.

        Call it after `prepare`, while the device is held.

        Raises:
            IsobenchError: a run failed.
        """
        settings = self.plan.settings
        self._result.begin()
        runs = [self._run()]
        from isobench.measuring import evaluation  # not before the first worker has started

        while True:
            evaluated = evaluation.evaluate(runs, settings)
            if len(runs) >= settings.processes and evaluation.enough(runs, evaluated, settings):
                break
            self._on_stage(f"run {len(runs) + 1}, the interval is \u00b1{evaluated.width:.1%}")
            runs.append(self._run())
        return self._evaluated(runs, evaluated.measured)

    def result(self, runs: Sequence[CompletedRun], turns: Turns) -> Result:
        """The Result of runs that were interleaved with those of other Cases."""
        from isobench.measuring import evaluation

        return self._evaluated(runs, replace(evaluation.evaluate(runs, self.plan.settings).measured, turns=turns))

    def _evaluated(self, runs: Sequence[CompletedRun], measured: Measured) -> Result:
        assert self.build is not None
        if self.build.sets:
            from isobench.analysis import input_sets

            names = [one.input_set for one in self.build.every_set]
            blocks_s = [run.used_blocks_s() for run in runs]
            measured = replace(measured, input_sets=input_sets.compare(names, blocks_s, floor=measured.noise_floor))
        return self._result.measured(measured, runs[-1])

    def _make_key(self) -> CaseKey:
        from isobench.measuring.case_records import given_sha256, source_sha256
        from isobench.planning.case_key import CaseKey

        build = self.build
        return CaseKey(
            source_sha256=source_sha256(self.model, build),
            model_hash=build.hash if build else self.model.hash,
            weights_sha256=build.weights_sha256 if build else "",
            script_args=self.model.script_args,
            dimensions=self.model.dimensions,
            shapes=self.model.shapes,
            steps=self.steps,
            runtime=self.entry.name,
            arguments=self.entry.make(self.plan.rt_args).rt_args,
            environment=self._environment_identity(),
            device=str(self.device),
            settings=self.plan.settings,
            interleaved=self.plan.interleaved,
            inputs_sha256=given_sha256(self.model, build),
            env=self.model.env,
        )

    def _environment_identity(self) -> str:
        """The identity of the environment, also of one that couldn't be created; "" for a runtime without any."""
        if self.environment is not None:
            return self.environment.identity
        try:
            name = self.entry.cls.environment
            spec = self.spec or (environments.spec(name) if name else None)
            return environments.choose(spec, note=lambda _note: None).identity() if spec else ""
        except IsobenchError:
            return ""

    def begin(self) -> BaseRT:
        """Start a worker: it imports its runtime while the host does its own part (`check`)."""
        runtime = self.entry.make(self.plan.rt_args)
        runtime.build = self.build
        runtime.context = Context(
            runtime=self.entry.name,
            device=self.device,
            environment=self.environment,
            settings=self.plan.settings,
            run_dir=paths.new_run(self.entry.name),
            on_stage=self._on_stage,
        )
        self._result.arguments = dict(runtime.rt_args)
        self.run_dirs.append(runtime.context.run_dir)
        try:
            runtime.start()
        except BaseException:
            self.close(runtime)
            raise
        return runtime

    def check(self) -> None:
        """The host's part: verify environment and build, gather the provenance, and read the expected outputs.

        After this the build may be removed while it is measured: what is measured needs only to be saved.

        Raises:
            IsobenchError: the environment or the build was changed.
        """
        self.verify()
        if self.environment is not None:
            environments.check(self.environment)
        from isobench.system import leftovers

        leftovers.sweep()
        from isobench.measuring.expected import ExpectedOutputs

        self._result.gather()
        assert self.build is not None
        self._expected = ExpectedOutputs(self.model, self.build)
        _ = self.key  # the model's file may change while it is measured

    def verify(self) -> None:
        """Verify the build before a run: its worker reads it again.

        Raises:
            ChangedBuildError: it was changed; the next look-up doesn't find it.
        """
        assert self.build is not None
        try:
            self.build.verify(script=not self.entry.build_required)
        except ChangedBuildError:
            from isobench.builds import cache

            cache.forget(self.build.id)
            raise

    def completed(self, runtime: BaseRT, performance: MeasuredPerformance, began: datetime) -> CompletedRun:
        """The run that `runtime` has just measured."""
        from isobench import results
        from isobench.measuring import evaluation

        folder = results.run_folder(len(self.run_dirs))
        self._result.arguments = dict(runtime.rt_args)  # its _setup may have added to them
        assert self.build is not None
        assert self._expected is not None, "checked before"
        self.build.verify_again()
        measurement = runtime.measured(performance)
        return evaluation.completed_run(
            measurement,
            self._expected.compare(runtime, measurement.outputs),
            began=began,
            folder=folder,
            spawned_s=runtime.spawned_s,
            stats=runtime.stats.values,
            version=performance.runtime_version,
            device_name=performance.device,
        )

    def _run(self) -> CompletedRun:
        began = datetime.now(UTC)
        runtime = self.begin()
        try:
            from isobench.measuring import evaluation

            if len(self.run_dirs) == 1:
                self.check()
            else:
                self.entry.require()
                self.verify()
            # While the worker is still importing: load what its outputs and samples are evaluated with.
            if isinstance(runtime, WorkerRT):
                evaluation.prepare()
            return self.completed(runtime, runtime.benchmark(), began)
        finally:
            self.close(runtime)

    def close(self, runtime: BaseRT) -> None:
        """Stop what the runtime has started. That a plugin's code fails at it takes nothing from what was measured."""
        try:
            runtime.close()
        except BaseException as error:  # noqa: BLE001
            self._on_stage(f"closing {self.entry.label} failed: {unexpected(error, 'closing').message}")

    def failure(self, error: BaseException) -> IsobenchError:
        """An exception while the Case is prepared or measured, as its failure: of a plugin's runtime, or of isobench.

        Raises:
            BaseException: `error` itself, where it ends the whole call (`errors.unexpected`).
        """
        found = unexpected(error, f"measuring {self.label}")
        is_ours = self.entry.cls.__module__.partition(".")[0] == __name__.partition(".")[0]
        return found if is_ours or found is error else as_worker_error(error, self.entry.name)

    def failed(self, error: IsobenchError) -> Result:
        """The Result of the Case if it isn't measured."""
        return self._result.failed(error)
