"""Cases -> Results: builds what is missing, measures one Case after the other, and saves each Result as it comes.

Whatever goes wrong with one Case becomes its Result; the others go on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import isobench
from isobench import builds, devices, environments, paths
from isobench.builds import Build
from isobench.devices import Device
from isobench.environments import Environment, Spec
from isobench.errors import IsobenchError, ModelError, WorkerError
from isobench.models import Model, Settings
from isobench.runtimes.base import BaseRT, Context
from isobench.runtimes.registry import Entry

if TYPE_CHECKING:
    from isobench.results import EnvironmentRecord, Failed, Measured, ModelRecord, Result


class Progress(Protocol):
    """Who is told how far the work is."""

    def begin(self, what: str) -> None:
        """Another piece of work starts: a model's build, a case."""

    def stage(self, text: str) -> None:
        """What is going on in it now."""

    def saved(self, result: Result, folder: Path) -> None:
        """A Result was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that one call is to measure: every model on every runtime."""

    models: Sequence[Model]
    runtimes: Sequence[Entry]
    device: Device
    settings: Settings
    rt_args: Mapping[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    results: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A Result and the folder that holds it."""

    result: Result
    folder: Path


def run(plan: Plan, progress: Progress) -> Iterator[Saved]:
    """Measure the plan's Cases, model by model; each Result is on disk before it is yielded."""
    for model in plan.models:
        yield from _Work(plan, progress).of_model(model)


class _Work:
    """The work on one model."""

    def __init__(self, plan: Plan, progress: Progress) -> None:
        self.plan = plan
        self.progress = progress

    def of_model(self, model: Model) -> Iterator[Saved]:
        able = []
        for entry in self.plan.runtimes:
            if entry.cls.takes_scripts_only and not model.is_script:
                reason = f"{entry.name} can't run {model.path.name}: {entry.cls.takes_scripts_only}"
                yield self._failed(entry, model, ModelError(reason, hint="Give the script, or use -r ort."))
            else:
                able.append(entry)
        if not able:
            return
        try:
            made = self._builds(model, onnx=any(entry.build_required for entry in able))
        except IsobenchError as error:
            for entry in able:
                yield self._failed(entry, model, error)
            return
        for build in made:
            for entry in able:
                yield self._case(entry, build)

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
        return builds.make(
            model, onnx=onnx, environment=environment, settings=settings, on_stage=self.progress.stage
        )

    def _ready(self, spec: Spec) -> Environment:
        """The environment, made from its lock if it isn't there yet; one that is there is never changed."""
        found = environments.find(spec)
        if found is not None:
            return found
        self.progress.begin("provisioning")
        return environments.create(spec, progress=self.progress.stage)

    def _case(self, entry: Entry, build: Build) -> Saved:
        """Measure one Case. A failure is a Result, too."""
        started = datetime.now(UTC)
        try:
            if entry.build_required:
                build.require_onnx()
            runtime = entry.cls(**self.plan.rt_args)
            spec = entry.cls.environment_for(build.model, self.progress.stage)
            environment = self._ready(spec)
        except IsobenchError as error:
            return self._failed(entry, build.model, error, build=build)
        self.progress.begin(f"{build.name} on {entry.name}")
        run_dir = paths.new_run(entry.name)
        runtime.build = build
        runtime.context = Context(
            runtime=entry.name,
            device=self.plan.device,
            environment=environment,
            settings=self.plan.settings,
            run_dir=run_dir,
            on_stage=self.progress.stage,
        )
        case = _Case(self.plan, entry, build, spec, runtime, started)
        try:
            with devices.exclusive(self.plan.device, on_wait=self.progress.stage):
                result = case.measure()
        except IsobenchError as error:
            return self._failed(entry, build.model, error, build=build, case=case)
        return self._save(result, run_dir)

    def _failed(
        self,
        entry: Entry,
        model: Model,
        error: IsobenchError,
        *,
        build: Build | None = None,
        case: _Case | None = None,
    ) -> Saved:
        from isobench.results import Failed

        failed = Failed(
            kind=error.kind if isinstance(error, WorkerError) else type(error).__name__,
            message=error.message,
            hint=error.hint,
            details=error.details,
            exit_code=error.exit_code,
        )
        if case is None:
            case = _Case(self.plan, entry, build, None, None, datetime.now(UTC), model)
        return self._save(case.result(failed), case.run_dir)

    def _save(self, result: Result, run_dir: Path | None) -> Saved:
        from isobench import results

        folder = results.save(result, run_dir=run_dir, root=self.plan.results)
        self.progress.saved(result, folder)
        return Saved(result=result, folder=folder)


class _Case:
    """One Case at work: what is known of it so far, and the Result that comes of it."""

    def __init__(
        self,
        plan: Plan,
        entry: Entry,
        build: Build | None,
        spec: Spec | None,
        runtime: BaseRT | None,
        started: datetime,
        model: Model | None = None,
    ) -> None:
        self.plan = plan
        self.entry = entry
        self.build = build
        self.model = build.model if build else model
        self.spec = spec
        self.runtime = runtime
        self.started = started
        self.provenance: dict[str, Any] = {}

    @property
    def run_dir(self) -> Path | None:
        return self.runtime.context.run_dir if self.runtime and self.runtime.context else None

    def measure(self) -> Result:
        """Start the worker, do the host's part while it imports its runtime, then let it measure."""
        runtime, build = self.runtime, self.build
        assert runtime is not None
        assert runtime.context is not None
        assert build is not None
        try:
            runtime.start()
            environments.check(runtime.context.environment)
            if self.entry.requirement_check:
                self.entry.requirement_check()
            from isobench import correctness, provenance, statistics
            from isobench.results import ColdStart, Measured
            from isobench.workers import protocol

            self.provenance = {"host": provenance.host()}
            expected = protocol.read_tensors(build.expected_file)
            performance = runtime.benchmark()
        finally:
            runtime.close()
        outputs = runtime.outputs
        blocks = tuple(statistics.Block.from_json(block) for block in outputs.get("blocks", ()))
        compared = correctness.compare(expected, runtime.output_tensors())
        facts = dict(outputs.get("facts", {}))
        self.provenance["worker"] = outputs.get("process", {})
        measured = Measured(
            latency=statistics.summarize(runtime.samples_ns),
            verdict=statistics.verdict(
                blocks,
                compared.reasons,
                samples_ns=runtime.samples_ns,
                resolution_s=outputs.get("process", {}).get("cpu_resolution_s", 0.0),
            ),
            correctness=compared,
            cold_start=ColdStart(
                import_s=outputs.get("import_s"),
                load_s=outputs.get("load_s"),
                compile_s=facts.pop("compile_s", None),
                first_inference_s=outputs.get("first_inference_s"),
                warmup_s=outputs.get("warmup_s"),
                warmup_iterations=outputs.get("warmup_iterations"),
            ),
            blocks=blocks,
            threads=outputs.get("threads", {}),
            facts=facts,
            stats=dict(runtime.stats.values),
            samples_file=protocol.SAMPLES_FILE,
        )
        return self.result(measured, version=performance.runtime_version, device_name=performance.device)

    def result(self, outcome: Measured | Failed, *, version: str = "", device_name: str = "") -> Result:
        from isobench.results import DeviceRecord, Result, RuntimeRecord

        assert self.model is not None
        name = self.build.name if self.build else self.model.name
        return Result(
            id=_new_id(self.started, name, self.entry.name),
            isobench=isobench.__version__,
            started_at=self.started.isoformat(timespec="milliseconds"),
            ended_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            command=self.plan.command,
            model=_model_record(self.model, self.build),
            runtime=RuntimeRecord(
                name=self.entry.name, version=version, arguments=dict(self.runtime.rt_args if self.runtime else {})
            ),
            device=DeviceRecord(device=str(self.plan.device), name=device_name),
            environment=self._environment_record(),
            settings=self.plan.settings,
            outcome=outcome,
            provenance=self.provenance,
        )

    def _environment_record(self) -> EnvironmentRecord | None:
        from isobench.results import EnvironmentRecord

        if self.runtime is None or self.runtime.context is None or self.spec is None:
            return None
        environment = self.runtime.context.environment
        manifest = environment.manifest()
        return EnvironmentRecord(
            name=environment.name,
            provider=environment.provider,
            identity=environment.identity,
            lock_sha256=environment.lock_sha256,
            lock_file=str(self.spec.lock_file),
            python=manifest["python"]["version"],
            packages=tuple(f"{package['name']}=={package['version']}" for package in manifest["packages"]),
        )


def _model_record(model: Model, build: Build | None) -> ModelRecord:
    from isobench import provenance
    from isobench.builds.cache import sha256_of
    from isobench.results import ModelRecord

    record: dict[str, Any] = {
        "name": build.name if build else model.name,
        "path": str(model.path.absolute()),
        "source_sha256": build.model_sha256 if build else sha256_of(model.path),
        "script_args": model.script_args,
        "labels": dict(model.labels),
        "git": provenance.git(model.path),
    }
    if build:
        record |= {
            "class_name": build.class_name,
            "hash": build.hash,
            "parameters": build.parameters,
            "signature": build.signature,
            "inputs": build.inputs,
            "weights_sha256": build.weights_sha256,
            "build": build.id,
            "inputs_sha256": sha256_of(build.inputs_file),
            "reference": build.reference,
            "deterministic": build.deterministic,
        }
        if build.onnx:
            record |= {
                "onnx_sha256": build.onnx.sha256,
                "onnx_opset": build.onnx.opset,
                "exporter": build.onnx.exporter,
            }
    return ModelRecord(**record)


def _new_id(started: datetime, name: str, runtime: str) -> str:
    """Sorts by time, says what it is, and is like no other even where several start in one second."""
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[:40]
    return f"{started:%Y%m%dT%H%M%S}-{slug}-{runtime}-{os.urandom(2).hex()}"
