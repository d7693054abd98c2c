"""One Case at work: its runtime, its environment, its worker, and the Result that comes of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isobench import environments, paths
from isobench.environments import Environment, Spec
from isobench.errors import IsobenchError, ModelError
from isobench.planning.models import Model, Step
from isobench.planning.settings import Settings
from isobench.runtimes.base import BaseRT, Context, as_worker_error
from isobench.runtimes.registry import Entry
from isobench.runtimes.worker_rt import WorkerRT
from isobench.system.devices import Device
from isobench.version import VERSION

if TYPE_CHECKING:
    from isobench.builds import Build
    from isobench.measuring.evaluation import Finished
    from isobench.results import EnvironmentRecord, Failed, Measured, ModelRecord, Provenance, Result, Turns
    from isobench.runtimes.base import MeasuredPerformance
    from isobench.workers.protocol import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that one call is to measure: every model on every runtime.

    `interleaved`: block by block, interleaved; `wait`: until the device is free, where somebody else measures on it.
    """

    models: Sequence[Model]
    runtimes: Sequence[Entry]
    device: Device
    settings: Settings
    rt_args: Mapping[str, Any] = field(default_factory=dict)
    interleaved: bool = False
    wait: bool = True
    command: tuple[str, ...] = ()
    results: Path | None = None


class Case:
    """One model on one runtime; `build` is None where it came to none."""

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
        self._started = datetime.now(UTC)
        self._spec: Spec | None = None
        self._environment: Environment | None = None
        self._arguments: dict[str, Any] = {}
        self._provenance: Provenance | None = None
        self._record: ModelRecord | None = None
        self._expected: Sequence[Tensor] = ()

    @property
    def name(self) -> str:
        return self.build.name if self.build else self.model.name

    @property
    def device(self) -> Device:
        """The device, with the part and config that this runtime has as its defaults."""
        return self.entry.device or self.plan.device

    def prepare(self, ready: Callable[[Spec], Environment]) -> None:
        """Have `ready` find or make the environment that is needed.

        Raises:
            IsobenchError: there is no ONNX file for a runtime that needs one, or the runtime lacks something, or the
                environment can't be had.
        """
        assert self.build is not None
        if self.entry.build_required:
            self.build.require_onnx()
        self.entry.require()  # before anything is laid down
        self._environment = self.entry.environment
        if self._environment is None:
            self._spec = self.entry.cls.environment_for(self.model, self._on_stage)
            if self._spec is not None and self.entry.docker_required:
                self._spec = replace(self._spec, in_container=True)
            self._environment = ready(self._spec) if self._spec is not None else None
        if self._environment is not None:
            self.entry.check_package(self._environment)

    def measure(self) -> Result:
        """Measure in as many runs as are asked for, or as it takes, and judge what came of them.

        To be called after `prepare`, with the device to itself.

        Raises:
            IsobenchError: it came to no measurement.
        """
        settings = self.plan.settings
        self._started = datetime.now(UTC)
        runs = [self._run()]
        from isobench.measuring import evaluation  # not before the first worker has started

        while True:
            judged = evaluation.judge(runs, settings)
            if len(runs) >= settings.processes and evaluation.enough(runs, judged, settings):
                break
            self._on_stage(f"run {len(runs) + 1}, the interval is \u00b1{judged.width:.1%}")
            runs.append(self._run())
        return self._judged(runs, judged.measured)

    def result(self, runs: Sequence[Finished], turns: Turns) -> Result:
        """The Result of runs that took turns with those of other Cases."""
        from isobench.measuring import evaluation

        return self._judged(runs, replace(evaluation.judge(runs, self.plan.settings).measured, turns=turns))

    def _judged(self, runs: Sequence[Finished], measured: Measured) -> Result:
        last = runs[-1]
        assert self._provenance is not None
        self._provenance = replace(self._provenance, worker=last.process)
        return self._result(measured, version=last.version, device_name=last.device_name)

    def begin(self) -> BaseRT:
        """Start a worker: it imports its runtime while the host does its own part."""
        runtime = self.entry.make(self.plan.rt_args)
        runtime.build = self.build
        runtime.context = Context(
            runtime=self.entry.name,
            device=self.device,
            environment=self._environment,
            settings=self.plan.settings,
            run_dir=paths.new_run(self.entry.name),
            on_stage=self._on_stage,
        )
        self._arguments = dict(runtime.rt_args)
        self.run_dirs.append(runtime.context.run_dir)
        runtime.start()
        return runtime

    def check(self) -> None:
        """The host's part: is everything as it should be, and what is there to know of this machine and the model?

        After this, nothing is read of the build any more: it may be removed while it's measured.

        Raises:
            IsobenchError: the environment was changed, or the build is gone.
        """
        if self._environment is not None:
            environments.check(self._environment)
        from isobench.results import Provenance
        from isobench.system import provenance

        container = None
        if self._environment is not None and self._environment.image:
            from isobench.environments.container import running

            container = running.record(self._environment)
        self._provenance = Provenance(host=provenance.host(), container=container)
        from isobench.workers import protocol

        assert self.build is not None
        try:
            self._expected = protocol.read_tensors(self.build.expected_file)
        except FileNotFoundError:
            raise ModelError(f"what was built is gone from {self.build.folder}", hint="Run it again.") from None
        self._record = _model_record(self.model, self.build)

    def finished(self, runtime: BaseRT, performance: MeasuredPerformance, began: datetime) -> Finished:
        """What a worker left, as one run."""
        from isobench import results
        from isobench.measuring import evaluation

        folder = results.run_folder(len(self.run_dirs))
        runtime.take_over(performance)
        self._arguments = dict(runtime.rt_args)  # its _setup may have added to them
        return evaluation.finished(runtime, performance, self._expected, began, folder, self.plan.settings)

    def _run(self) -> Finished:
        began = datetime.now(UTC)
        runtime = self.begin()
        try:
            from isobench.measuring import evaluation

            if len(self.run_dirs) == 1:
                self.check()
            else:
                self.entry.require()
            # While the worker is still at its imports: what its outputs and samples are going to be judged by.
            if isinstance(runtime, WorkerRT):
                evaluation.prepare()
            return self.finished(runtime, runtime.benchmark(), began)
        except IsobenchError:
            raise
        except Exception as error:  # noqa: BLE001 - a plugin's code may raise anything, and the other Cases go on
            raise as_worker_error(error, self.entry.name) from None
        finally:
            runtime.close()

    def failed(self, error: IsobenchError) -> Result:
        """The Result of a Case that came to no measurement."""
        from isobench.results import Failed

        return self._result(
            Failed(
                kind=error.kind,
                phase=error.phase,
                cause=error.cause,
                message=error.message,
                hint=error.hint,
                details=error.details,
                exit_code=error.exit_code,
            )
        )

    def _result(self, outcome: Measured | Failed, *, version: str = "", device_name: str = "") -> Result:
        from isobench.results import DeviceRecord, Provenance, Result, RuntimeRecord

        return Result(
            id=_new_id(self._started, self.name, self.entry.name),
            isobench=VERSION,
            started_at=self._started.isoformat(timespec="milliseconds"),
            ended_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            command=self.plan.command,
            model=self._record or _model_record(self.model, self.build),
            runtime=RuntimeRecord(
                name=self.entry.name,
                version=version,
                arguments=self._arguments,
                status_stats=self.entry.status_stats,
            ),
            device=DeviceRecord(device=str(self.device), name=device_name),
            environment=self._environment_record(),
            settings=self.plan.settings,
            outcome=outcome,
            provenance=self._provenance or Provenance(),
            steps=self.steps,
        )

    def _environment_record(self) -> EnvironmentRecord | None:
        from isobench.results import EnvironmentRecord

        if self._environment is None:
            return None
        environment = self._environment
        manifest = environment.manifest()
        lock_file = self._spec.lock_file if self._spec else manifest["lock_file"]
        return EnvironmentRecord(
            name=environment.name,
            provider=environment.provider,
            identity=environment.identity,
            lock_sha256=environment.lock_sha256,
            lock_file=str(lock_file) if environment.lock_sha256 else "",
            conda_lock_sha256=environment.conda_lock_sha256,
            python=manifest["python"]["version"],
            packages=tuple(f"{package['name']}=={package['version']}" for package in manifest["packages"]),
            conda_packages=tuple(
                f"{package['name']}={package['version']}={package['build']}"
                for package in manifest.get("conda_packages", ())
            ),
            image=environment.image,
            image_packages=tuple(
                f"{package['name']}=={package['version']}"
                for package in manifest.get("container", {}).get("packages", ())
            ),
        )


def _model_record(model: Model, build: Build | None) -> ModelRecord:
    from isobench.results import ModelRecord
    from isobench.system import provenance

    record: dict[str, Any] = {
        "name": build.name if build else model.name,
        "path": str(model.path.absolute()),
        "source_sha256": build.model_sha256 if build else _sha256_of(model.path),
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
            "inputs_sha256": _sha256_of(build.inputs_file),
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


def _sha256_of(path: Path) -> str:
    """The file's hash; "" where it's gone, or can't be read."""
    from isobench.system import files

    try:
        return files.sha256(path)
    except OSError:
        return ""


def _new_id(started: datetime, name: str, runtime: str) -> str:
    """Sorts by time, says what it is, and is like no other even where several start in one second."""
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[:40]
    return f"{started:%Y%m%dT%H%M%S}-{slug}-{runtime}-{os.urandom(2).hex()}"
