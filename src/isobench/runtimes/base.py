"""BaseRT: what a runtime is to isobench. The authors of runtimes derive from it, most of them by way of `WorkerRT`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from isobench.errors import WorkerError
from isobench.failures import FailureKind
from isobench.planning.models import Model
from isobench.planning.settings import Settings
from isobench.workers import protocol

# Statistics are imported where they are used: the worker is started sooner without them.
if TYPE_CHECKING:
    from isobench.analysis import Block
    from isobench.builds import Build
    from isobench.environments import Environment, Spec
    from isobench.system.devices import Device


@dataclass(frozen=True, slots=True, kw_only=True)
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
    """What a runtime wishes to keep in the Result, besides what isobench itself measures."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def save_model_eval_stat(self, key: str, value: Any) -> None:
        """Keep `value` under `key`.

        Raises:
            TypeError: JSON can't hold it.
            ValueError: it isn't finite.
        """
        import json

        json.dumps(value, allow_nan=False)
        self.values[key] = value


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where and how a runtime is to work: handed to it by the runner before anything is started.

    `environment` is None for a runtime that names none; `run_dir` is the folder for all that it writes.
    """

    runtime: str
    device: Device
    environment: Environment | None
    settings: Settings
    run_dir: Path
    on_stage: Callable[[str], None]


class BaseRT(ABC):
    """One runtime, about to measure one Build (`self.build`), where and how `self.context` says.

    A subclass says how to measure by `_execute`, or by a `benchmark` of its own. It names its environment (`envs/NAME`)
    and the package whose version it is known by. Its `__init__` takes the runtime's arguments as keywords with
    annotations, by which the command line turns text into values, and hands them on to `super().__init__`.
    """

    environment: ClassVar[str] = ""
    package: ClassVar[str] = ""
    hardware: ClassVar[str] = ""
    """The family that its device is in truth, whose lock it takes: "cpu" for one that stands for this processor."""
    variants: ClassVar[tuple[str, ...]] = ()
    """Other names that `package` goes by: builds of it that can't be installed side by side."""
    takes_scripts_only: ClassVar[str] = ""
    """Why an `.onnx` file can't be run, as a sentence; empty: it can."""

    def __init__(self, **rt_args: Any) -> None:
        self.rt_args = rt_args
        self.stats = Stats()
        self.context: Context | None = None
        self.build: Build | None = None
        self.outputs: dict[str, Any] = {}
        self.spawned_s = 0.0
        self.samples_ns = array("q")
        self.end_to_end_ns = array("q")

    @classmethod
    def on(cls, device: Device) -> type[BaseRT]:
        """The class that serves on `device`, where devices of several families need classes of their own."""
        return cls

    @classmethod  # noqa: B027 - most need nothing
    def require(cls) -> None:
        """Called before each benchmark, beside the plugin's `requirement_check`.

        Raises:
            Exception: something that the runtime needs is missing; the message is shown as the runtime's.
        """

    @classmethod
    def takes_turns(cls) -> bool:
        """Can it be asked for one block at a time, as interleaving needs?"""
        return False

    @classmethod
    def environment_for(cls, model: Model, progress: Callable[[str], None]) -> Spec | None:
        """The environment that this runtime needs for `model`; None: it names none."""
        from isobench import environments

        return environments.spec(cls.environment) if cls.environment else None

    @abstractmethod
    def _setup(self) -> None:
        """Called before anything is measured: what the runtime needs is checked here, and made ready."""

    @abstractmethod
    def mean_latency(self) -> float:
        """Mean latency in milliseconds, once it's measured."""

    @abstractmethod
    def throughput(self) -> float:
        """Inferences per second, once it's measured."""

    @abstractmethod
    def device_name(self) -> str:
        """The name of the device as its maker calls it."""

    def _execute(self, output_dir: str, onnx_file: str, outputs_file: str, iterations: int) -> None:
        """Measure, and write `outputs_file` (`protocol.OUTPUTS_SCHEMA`), with the output tensors beside it.

        `onnx_file` is "" where there is none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no _execute")

    def start(self) -> None:
        """Begin what takes time, while the host still works on its own part: here, make the run directory."""
        self._bound().run_dir.mkdir(parents=True)

    def close(self) -> None:  # noqa: B027 - as above
        """End whatever is still running."""

    def benchmark(self) -> MeasuredPerformance:
        """Measure the build: no old outputs, `_setup`, `_execute`, and then there must be new outputs.

        Raises:
            WorkerError: it came to no measurement.
        """
        context = self._bound()
        assert self.build is not None
        outputs_file = context.run_dir / protocol.OUTPUTS_FILE
        outputs_file.unlink(missing_ok=True)
        self._setup()
        onnx_file = str(self.build.onnx_file or "")
        self._execute(str(context.run_dir), onnx_file, str(outputs_file), context.settings.worker_iterations)
        return self.performance()

    def performance(self) -> MeasuredPerformance:
        """What `_execute` measured.

        Raises:
            WorkerError: it left no measurement.
        """
        context = self._bound()
        assert self.build is not None
        self._read(context.run_dir / protocol.OUTPUTS_FILE)
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
        """What the last timed iteration returned; [] where nothing was kept, and then nothing can be believed."""
        try:
            return protocol.read_tensors(self._bound().run_dir / protocol.OUTPUT_TENSORS_FILE)
        except FileNotFoundError:
            return []

    def take_over(self, performance: MeasuredPerformance) -> None:
        """What a `benchmark` of its own told, where it left no samples: one, of all the iterations together.

        Raises:
            WorkerError: it told of no latency.
        """
        if not self.samples_ns:
            iterations = self._bound().settings.worker_iterations
            together_s = performance.mean_latency / 1000 * iterations
            self.outputs = {**self.outputs, "group": iterations, "latency_s": [together_s]}
            self.samples_ns = self._samples(self.outputs)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks that the worker took; () where it told of none."""
        from isobench.analysis import Block

        return tuple(Block.from_json(block) for block in self.outputs.get("blocks", ()))

    @property
    def group(self) -> int:
        """How many iterations each sample is of."""
        return int(self.outputs.get("group", 1))

    @property
    def resolution_s(self) -> float:
        """The step in which the worker's counters of CPU time grow."""
        return float(self.outputs.get("process", {}).get("cpu_resolution_s", 0.0))

    def _read(self, outputs_file: Path) -> None:
        """Read the JSON and the samples; one of few words may give `latency_s`, a list, instead of samples."""
        try:
            self.outputs = protocol.read_json(outputs_file, protocol.OUTPUTS_SCHEMA)
            self.samples_ns = self._samples(self.outputs)
            end_to_end = outputs_file.with_name(protocol.END_TO_END_FILE)
            self.end_to_end_ns = protocol.read_samples(end_to_end) if end_to_end.exists() else array("q")
            told = sum(block.samples for block in self.blocks)
        except (FileNotFoundError, ValueError) as error:
            raise WorkerError(f"the worker left no measurement: {error}", kind=FailureKind.PROTOCOL) from None
        for samples in filter(None, (self.samples_ns, self.end_to_end_ns)):
            if self.blocks and told != len(samples):
                found = f"the worker's blocks hold {told} samples, its file {len(samples)}"
                raise WorkerError(found, kind=FailureKind.PROTOCOL)

    def _samples(self, outputs: Mapping[str, Any]) -> array[int]:
        file = self._bound().run_dir / protocol.SAMPLES_FILE
        if "latency_s" in outputs:
            samples = array("q", [round(float(seconds) * 1e9) for seconds in outputs["latency_s"]])
            # The Result keeps the samples of every run, whoever told them.
            protocol.write_bytes(file, b"".join(sample.to_bytes(8, "little", signed=True) for sample in samples))
        else:
            samples = protocol.read_samples(file)
        if not samples or min(samples) <= 0:
            raise protocol.ProtocolError("no samples, or one that took no time")
        return samples

    def _bound(self) -> Context:
        assert self.context is not None, "the runner sets the context first"
        return self.context


def as_worker_error(error: Exception, runtime: str) -> WorkerError:
    """An exception that a runtime's own code raised, as an error with its class, message and traceback."""
    import traceback

    return WorkerError(
        f"{runtime} failed: {type(error).__name__}: {error}".rstrip(": "),
        kind=FailureKind.OUT_OF_MEMORY if isinstance(error, MemoryError) else FailureKind.EXCEPTION,
        cause=type(error).__name__,
        details="".join(traceback.format_tb(error.__traceback__)).rstrip(),
    )
