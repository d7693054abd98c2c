"""BaseRT: the base class of all runtimes. Most derive from its subclass `WorkerRT`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from isobench.errors import WorkerError, in_words, of_system
from isobench.failures import Ending
from isobench.planning.models import Model
from isobench.planning.settings import Settings
from isobench.record import record
from isobench.workers import protocol

# Analysis is imported where it is used: the worker is started sooner without it.
if TYPE_CHECKING:
    from isobench.builds import Build
    from isobench.environments import Environment, Spec
    from isobench.supervisor.outputs import Measurement, WorkerOutputs
    from isobench.system.devices import Device

_TENSORS_GROW, _TENSORS_MORE = 8, 64 << 20
"""How much larger than the expected outputs those of a runtime may be: times, and bytes more."""


@record(frozen=True, slots=True, kw_only=True)
class MeasuredPerformance:
    """What `BaseRT.benchmark()` returns: latency in milliseconds, throughput in inferences per second."""

    mean_latency: float
    throughput: float
    device: str
    device_type: str
    runtime: str
    runtime_version: str
    build_name: str
    latency_units: str = "milliseconds"
    throughput_units: str = "inferences per second (IPS)"


class Stats:
    """Figures that a runtime adds to the Result, besides those that isobench measures."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def save_model_eval_stat(self, key: str, value: Any) -> None:
        """Add `value` under `key`.

        Raises:
            TypeError: JSON can't represent it.
            ValueError: it isn't finite.
        """
        import json

        json.dumps(value, allow_nan=False)
        self.values[key] = value


@record(frozen=True, slots=True, kw_only=True)
class Context:
    """Where and how a runtime measures; set before anything is started.

    `environment` is None for a runtime that names none; all files go into `run_dir`.
    """

    runtime: str
    device: Device
    environment: Environment | None
    settings: Settings
    run_dir: Path
    on_stage: Callable[[str], None]


class BaseRT(ABC):
    """One runtime, which measures one Build (`self.build`) as `self.context` says.

    A subclass implements `_execute`, or its own `benchmark`. It names its environment (`envs/NAME`) and the package
    whose version is the runtime's version. Its `__init__` takes the runtime's arguments as annotated keywords, by which
    the command line converts text to values, and passes them to `super().__init__`.
    """

    environment: ClassVar[str] = ""
    package: ClassVar[str] = ""
    hardware: ClassVar[str] = ""
    """The family of the device whose lock it takes, if another: "cpu" for a device that is this processor."""
    variants: ClassVar[tuple[str, ...]] = ()
    """Other names of `package`: builds of it that can't be installed side by side."""
    takes_scripts_only: ClassVar[str] = ""
    """Why an `.onnx` file can't be run, as a sentence; empty if it can."""

    takes_ort_format: ClassVar[bool] = False
    """Whether it runs an `.ort` file, ONNX Runtime's own format."""

    def __init__(self, **rt_args: Any) -> None:
        self.rt_args = rt_args
        self.stats = Stats()
        self.context: Context | None = None
        self.build: Build | None = None
        self.measurement: Measurement | None = None
        self.spawned_s = 0.0
        self._worker_outputs: WorkerOutputs | None = None

    @property
    def outputs(self) -> Mapping[str, Any]:
        """`outputs.json` as the worker wrote it; empty before the measurement."""
        return self.measurement.outputs.raw if self.measurement else {}

    @property
    def samples_ns(self) -> Sequence[int]:
        """Nanoseconds of each sample; empty before the measurement."""
        return self.measurement.samples_ns if self.measurement else ()

    @classmethod
    def on(cls, device: Device) -> type[BaseRT]:
        """The class for `device`, if some families of devices need their own."""
        return cls

    @classmethod  # noqa: B027 - most need nothing
    def require(cls) -> None:
        """Called before each benchmark, as is the plugin's `requirement_check`.

        Raises:
            Exception: something that the runtime needs is missing; the user sees the message.
        """

    @classmethod
    def interleavable(cls) -> bool:
        """Can it take single blocks, as interleaving needs?"""
        return False

    @classmethod
    def environment_for(cls, model: Model, progress: Callable[[str], None]) -> Spec | None:
        """The environment that this runtime needs for `model`; None if it names none."""
        from isobench import environments

        return environments.spec(cls.environment) if cls.environment else None

    @abstractmethod
    def _setup(self) -> None:
        """Called before anything is measured, to check and prepare what the runtime needs."""

    @abstractmethod
    def mean_latency(self) -> float:
        """Mean latency in milliseconds, after the measurement."""

    @abstractmethod
    def throughput(self) -> float:
        """Inferences per second, after the measurement."""

    @abstractmethod
    def device_name(self) -> str:
        """The name of the device as its vendor calls it."""

    def _execute(self, output_dir: str, onnx_file: str, outputs_file: str, iterations: int) -> None:
        """Measure, and write `outputs_file` (`protocol.OUTPUTS_SCHEMA`), with the output tensors beside it.

        `onnx_file` is "" if there is none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no _execute")

    def start(self) -> None:
        """Start what takes time while the host does its own part: here, create the run directory."""
        self._bound().run_dir.mkdir(parents=True)

    def close(self) -> None:  # noqa: B027 - as above
        """Stop whatever is still running."""

    def benchmark(self) -> MeasuredPerformance:
        """Measure the build: call `_setup` and `_execute`, and require their outputs.

        Raises:
            WorkerError: there is no measurement.
        """
        context = self._bound()
        assert self.build is not None
        outputs_file = context.run_dir / protocol.OUTPUTS_FILE
        self._setup()
        onnx_file = str(self.build.onnx_file or "")
        self._execute(str(context.run_dir), onnx_file, str(outputs_file), context.settings.worker_iterations)
        return self.performance()

    def performance(self) -> MeasuredPerformance:
        """The figures of what `_execute` measured.

        Raises:
            WorkerError: it left no measurement.
        """
        context = self._bound()
        assert self.build is not None
        self._read(self._worker_outputs)
        return MeasuredPerformance(
            mean_latency=self.mean_latency(),
            throughput=self.throughput(),
            device=self.device_name(),
            device_type=str(context.device),
            runtime=context.runtime,
            runtime_version=self.version(),
            build_name=self.build.name,
        )

    def version(self) -> str:
        """The version of the runtime's package in its environment."""
        environment = self._bound().environment
        return environment.version_of(self.package, *self.variants) if environment is not None else ""

    def output_tensors(self) -> list[protocol.Tensor]:
        """The outputs of the last timed iteration; [] if none were written: then they aren't compared."""
        return self.outputs_of_set(0)

    def outputs_of_set(self, place: int) -> list[protocol.Tensor]:
        """The outputs of the last timed iteration with one of several sets of inputs.

        Raises:
            WorkerError: they can't be read, or are far larger than the expected ones.
        """
        assert self.build is not None
        try:
            most_bytes = _TENSORS_GROW * self.build.every_set[place].expected_file.stat().st_size + _TENSORS_MORE
            return protocol.read_tensors(self._bound().run_dir / protocol.outputs_file(place), most_bytes=most_bytes)
        except FileNotFoundError:
            return []
        except (OSError, protocol.ProtocolError) as error:
            raise self._malformed("the worker's outputs can't be read", error) from None

    def measured(self, performance: MeasuredPerformance) -> Measurement:
        """The run's samples. A `benchmark` of its own that left none has one sample: all iterations together."""
        if self.measurement is None:
            iterations = self._bound().settings.worker_iterations
            together_s = performance.mean_latency / 1000 * iterations
            from isobench.supervisor.outputs import WorkerOutputs

            self._read(WorkerOutputs(group=iterations, latency_s=(together_s,)))
        assert self.measurement is not None
        return self.measurement

    def _read(self, outputs: WorkerOutputs | None) -> None:
        """Read the samples, and `outputs.json` where it wasn't read yet.

        Raises:
            WorkerError: they are missing or malformed.
        """
        from isobench.supervisor import outputs as worker_outputs

        context = self._bound()
        try:
            self.measurement = worker_outputs.read_measurement(
                context.run_dir, outputs or worker_outputs.read(context.run_dir), set_aside=context.settings.select
            )
        except (OSError, protocol.ProtocolError) as error:
            raise self._malformed("the worker left no measurement", error) from None

    def _malformed(self, what: str, error: OSError | protocol.ProtocolError) -> WorkerError:
        """The error for a worker's file that can't be read.

        Raises:
            OSError: `error` itself, if the worker isn't to blame.
        """
        from isobench.supervisor import endings

        if not endings.of_worker(error):
            raise error
        return WorkerError(f"{what}: {endings.of_file(error, self._bound().run_dir)}", kind=Ending.PROTOCOL)

    def _bound(self) -> Context:
        assert self.context is not None, "the context is set before anything is called"
        return self.context


def as_worker_error(error: BaseException, runtime: str) -> WorkerError:
    """An exception that a runtime's own code raised, as an error with its class, message and traceback."""
    import traceback

    kind, hint = of_system(error)
    return WorkerError(
        f"{runtime} failed: {type(error).__name__}: {in_words(error)}".rstrip(": "),
        kind=kind or Ending.EXCEPTION,
        cause=type(error).__name__,
        details="".join(traceback.format_tb(error.__traceback__)).rstrip(),
        hint=hint,
    )
