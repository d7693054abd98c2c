"""BaseRT: what a runtime is to isobench. The authors of runtimes derive from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from isobench import paths
from isobench.errors import UsageError, WorkerError
from isobench.models import Model, Settings
from isobench.workers import protocol

# Sampling and statistics are imported where they are used: the worker is started sooner without them.
if TYPE_CHECKING:
    from isobench.builds import Build
    from isobench.devices import Device
    from isobench.environments import Environment, Spec
    from isobench.sampling import Ready
    from isobench.statistics import Block
    from isobench.worker import Worker


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
        """Keep `value` (anything JSON can hold) under `key`."""
        self.values[key] = value


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where and how a runtime is to work: handed to it by the runner before anything is started."""

    runtime: str
    device: Device
    environment: Environment
    settings: Settings
    run_dir: Path
    on_stage: Callable[[str], None]


class BaseRT:
    """One runtime, about to measure one Build.

    A subclass names its environment (`envs/NAME`), its worker script and the package whose version it is known by.
    Its `__init__` takes the runtime's arguments as keywords and passes on to `super().__init__` what its worker's
    `_execute` is to get.
    """

    environment: ClassVar[str] = ""
    worker: ClassVar[str | Path] = ""
    package: ClassVar[str] = ""
    takes_scripts_only: ClassVar[str] = ""
    """Why an `.onnx` file can't be run, as a sentence; empty: it can."""

    def __init__(self, **rt_args: Any) -> None:
        self.rt_args = rt_args
        self.stats = Stats()
        self.context: Context | None = None
        self.build: Build | None = None
        self.outputs: dict[str, Any] = {}
        self.samples_ns: list[int] = []
        self.end_to_end_ns: list[int] = []
        self._process: Worker | None = None

    @classmethod
    def environment_for(cls, model: Model, progress: Callable[[str], None]) -> Spec:
        """The environment that this runtime needs for `model`."""
        from isobench import environments

        return environments.spec(cls.environment)

    def _setup(self) -> None:
        """Called before anything is measured: a subclass checks here what it needs, and raises where it's missing."""

    def start(self) -> None:
        """Start the worker, which imports its runtime while the host still works on its own part."""
        from isobench import worker

        context = self._bound()
        self._process = worker.start(
            context.environment,
            paths.WORKERS / self.worker,
            context.run_dir,
            threads=context.settings.threads,
            heap=context.settings.heap,
            control=context.settings.control,
        )

    def close(self) -> None:
        """End whatever is still running."""
        if self._process is not None:
            self._process.__exit__(None, None, None)
            self._process = None

    def benchmark(self) -> MeasuredPerformance:
        """Measure the build in this runtime's environment.

        Raises:
            WorkerError: it came to no measurement.
        """
        context = self._bound()
        assert self.build is not None
        outputs_file = context.run_dir / protocol.OUTPUTS_FILE
        outputs_file.unlink(missing_ok=True)
        self._setup()
        onnx_file = str(self.build.onnx_file or "")
        self._execute(str(context.run_dir), onnx_file, str(outputs_file), context.settings.iterations)
        return self.performance()

    def performance(self) -> MeasuredPerformance:
        """What the worker, which has ended, measured.

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

    def _execute(self, output_dir: str, onnx_file: str, outputs_file: str, iterations: int) -> None:
        """Hand the work to the worker and wait for its end. `outputs_file` exists when this returns."""
        from isobench.sampling import Sampler

        ready = self.warm_up(output_dir, onnx_file, outputs_file, iterations)
        if ready is not None:
            sampler = Sampler(self._bound().settings, ready)
            while samples := sampler.next():
                sampler.add(self.take(samples))
        self.finish()

    @property
    def can_take_turns(self) -> bool:
        """Can its worker be asked for one block at a time? Not if `_execute` or `benchmark` is the runtime's own."""
        kind = type(self)
        return kind._execute is BaseRT._execute and kind.benchmark is BaseRT.benchmark

    def warm_up(
        self, output_dir: str, onnx_file: str, outputs_file: str, iterations: int, *, in_turns: bool = False
    ) -> Ready | None:
        """Have the worker load and warm up, until it can be asked for blocks; None: it works by itself.

        Raises:
            WorkerError: it crashed, told of an error, or time is up.
        """
        from isobench.sampling import Ready

        context = self._bound()
        assert self.build is not None
        if self._process is None:
            self.start()
        assert self._process is not None
        settings = context.settings
        self._process.go(
            {
                "arguments": {
                    "output_dir": output_dir,
                    "onnx_file": onnx_file,
                    "outputs_file": outputs_file,
                    "iterations": iterations,
                    **self.rt_args,
                },
                "threads": settings.threads,
                "seed": settings.seed,
                "warmup": settings.warmup,
                "exactly": settings.exactly,
                "park": in_turns,
                "model": self.build.request(),
            },
            timeout_s=settings.timeout_s,
        )
        told = self._process.ready(context.on_stage)
        return None if told is None else Ready(**told)

    def join(self) -> Ready:
        """Instead of `benchmark`: have the worker warm up and wait for its turns (`take`, until `finish`).

        Raises:
            UsageError: this runtime's worker can't be asked for one block at a time.
            WorkerError: it crashed, told of an error, or time is up.
        """
        context = self._bound()
        assert self.build is not None
        self._setup()
        outputs_file = context.run_dir / protocol.OUTPUTS_FILE
        arguments = (str(context.run_dir), str(self.build.onnx_file or ""), str(outputs_file))
        ready = None
        if self.can_take_turns:
            ready = self.warm_up(*arguments, context.settings.iterations, in_turns=True)
        if ready is None:
            if self._process is not None:
                self._process.finish(context.on_stage)  # tells of it, if it crashed
            raise UsageError(f"{context.runtime} can't take turns with others: its worker measures by itself")
        return ready

    def take(self, samples: int) -> Block:
        """Have the worker, which is warm, take one block of so many samples.

        Raises:
            WorkerError: it crashed, told of an error, or time is up.
        """
        from isobench.statistics import Block

        assert self._process is not None
        return Block.from_json(self._process.block(samples, self._bound().on_stage))

    def finish(self) -> None:
        """Wait until the worker has written what came of it.

        Raises:
            WorkerError: it crashed, told of an error, or time is up.
        """
        assert self._process is not None
        self._process.end()
        self._process.finish(self._bound().on_stage)

    def mean_latency(self) -> float:
        """Mean latency in milliseconds, contaminated blocks set aside (`statistics.select`)."""
        from isobench.statistics import select, used_samples

        selection = select(
            self.blocks, resolution_s=self.resolution_s, enabled=self._bound().settings.select
        )
        used = used_samples(self.samples_ns, self.blocks, selection.used)
        return sum(used) / len(used) / self.group / 1e6

    def throughput(self) -> float:
        """Inferences per second: one call after the other, so the inverse of the mean latency."""
        return 1000 / self.mean_latency()

    def device_name(self) -> str:
        """The name of the device as its maker calls it."""
        from isobench import provenance

        return provenance.cpu_model()

    def version(self) -> str:
        """The version of the runtime's package in its environment."""
        packages = self._bound().environment.manifest()["packages"]
        return next((str(entry["version"]) for entry in packages if entry["name"] == self.package), "")

    def output_tensors(self) -> list[protocol.Tensor]:
        """What the last timed iteration returned."""
        return protocol.read_tensors(self._bound().run_dir / protocol.OUTPUT_TENSORS_FILE)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks that the worker took; () where it told of none."""
        from isobench.statistics import Block

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
        """Read the worker's JSON and its samples; a worker of few words may give `latency_s`, a list, instead."""
        try:
            self.outputs = protocol.read_json(outputs_file, protocol.OUTPUTS_SCHEMA)
            self.samples_ns = self._samples(self.outputs)
            end_to_end = outputs_file.with_name(protocol.END_TO_END_FILE)
            self.end_to_end_ns = protocol.read_samples(end_to_end) if end_to_end.exists() else []
            told = sum(block.samples for block in self.blocks)
        except (FileNotFoundError, ValueError) as error:
            raise WorkerError(f"the worker left no measurement: {error}", kind="protocol") from None
        for samples in filter(None, (self.samples_ns, self.end_to_end_ns)):
            if self.blocks and told != len(samples):
                found = f"the worker's blocks hold {told} samples, its file {len(samples)}"
                raise WorkerError(found, kind="protocol")

    def _samples(self, outputs: Mapping[str, Any]) -> list[int]:
        if "latency_s" in outputs:
            samples = [round(float(seconds) * 1e9) for seconds in outputs["latency_s"]]
        else:
            samples = protocol.read_samples(self._bound().run_dir / protocol.SAMPLES_FILE)
        if not samples or min(samples) <= 0:
            raise protocol.ProtocolError("no samples, or one that took no time")
        return samples

    def _bound(self) -> Context:
        assert self.context is not None, "the runner sets the context first"
        return self.context
