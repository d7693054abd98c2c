"""WorkerRT: a runtime whose worker measures in the runtime's own environment. Most runtimes derive from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from isobench import plugins
from isobench.errors import UsageError
from isobench.runtimes import custom_ops
from isobench.runtimes.base import BaseRT, Context
from isobench.workers import protocol

# Sampling and analysis are imported where they are used: the worker is started sooner without them.
if TYPE_CHECKING:
    from isobench.analysis.noise import Block
    from isobench.environments import Environment
    from isobench.supervisor.sampling import Ready
    from isobench.supervisor.worker_process import Worker


class WorkerRT(BaseRT):
    """A runtime that names its worker: a script in `workers/` of its package, which runs in its environment.

    The worker's `_execute` gets the keywords that `__init__` passes to `super().__init__`.
    """

    worker: ClassVar[str | Path] = ""
    network: ClassVar[bool] = False
    """Does its worker need the network? If not, it is taken away where the kernel allows it."""

    def __init__(self, **rt_args: Any) -> None:
        super().__init__(**rt_args)
        self._process: Worker | None = None

    @classmethod
    def interleavable(cls) -> bool:
        """False for a runtime with its own `_execute` or `benchmark`."""
        return cls._execute is WorkerRT._execute and cls.benchmark is BaseRT.benchmark

    @classmethod
    def worker_file(cls) -> Path:
        """The worker's script.

        Raises:
            UsageError: it doesn't exist.
        """
        found = plugins.worker_file(cls, cls.worker) if cls.worker else None
        if found is None:
            raise UsageError(
                f"worker {str(cls.worker)!r} of {cls.__module__}.{cls.__qualname__} not found",
                hint="Put it into the folder workers/ of the runtime's package, and that folder into the package data.",
            )
        return found

    def _setup(self) -> None:
        """Nothing by default."""

    def reads(self) -> list[Path]:
        """Files that the worker reads besides the build: a container shows it no others."""
        library = custom_ops.library_of(self.rt_args)
        return [library] if library is not None else []

    def start(self) -> None:
        """Start the worker, which imports its runtime while the host does its own part."""
        from isobench.supervisor import worker_process

        context = self._bound()
        assert self.build is not None
        self._process = worker_process.start(
            self._environment(),
            self.worker_file(),
            context.run_dir,
            threads=context.settings.threads,
            heap=context.settings.heap,
            resources=context.settings.resources,
            reads=[*self.build.reads, *self.build.model.files, *self.reads()],
            cwd=Path.cwd() if self.build.model.is_script else None,
            gpus=context.device.is_nvidia,
            network=self.network,
            own_variables=self.build.model.env,
        )
        self.spawned_s = self._process.spawned_s

    def close(self) -> None:
        """Stop the worker if it still runs."""
        if self._process is not None:
            self._process.__exit__(None, None, None)
            self._process = None

    def _execute(self, output_dir: str, onnx_file: str, outputs_file: str, iterations: int) -> None:
        """Have the worker measure, and wait for its end. `outputs_file` exists when this returns."""
        from isobench.supervisor.sampling import Sampler

        ready = self.warm_up(output_dir, onnx_file, outputs_file, iterations)
        if ready is not None:
            sampler = Sampler(self._bound().settings, ready)
            while samples := sampler.next():
                sampler.add(self.take_block(samples))
        self.finish()

    def warm_up(
        self, output_dir: str, onnx_file: str, outputs_file: str, iterations: int, *, interleaved: bool = False
    ) -> Ready | None:
        """Have the worker load the model and warm up; None: it accepts no requests for blocks.

        Raises:
            WorkerError: it crashed, reported an error, or time is up.
        """
        from isobench.supervisor.request import Request

        context = self._bound()
        assert self.build is not None
        if self._process is None:
            self.start()
        assert self._process is not None
        settings = context.settings
        self._process.go(
            Request(
                arguments={
                    "output_dir": output_dir,
                    "onnx_file": onnx_file,
                    "outputs_file": outputs_file,
                    "iterations": iterations,
                    **self.rt_args,
                },
                threads=settings.threads,
                seed=settings.seed,
                warmup=settings.warmup,
                exactly=settings.iterations is not None,
                interleaved=interleaved,
                device=str(context.device),
                model=self.build.request(),
            ),
            timeout_s=settings.timeout_s,
            phase_timeouts_s=settings.phase_timeouts_s,
        )
        return self._process.ready(context.on_stage)

    def start_interleaved(self) -> Ready:
        """Instead of `benchmark`, for interleaving: have the worker warm up, then wait for `take_block` or `finish`.

        Raises:
            UsageError: this runtime's worker can't take single blocks.
            WorkerError: it crashed, reported an error, or time is up.
        """
        context = self._bound()
        assert self.build is not None
        self._setup()
        outputs_file = context.run_dir / protocol.OUTPUTS_FILE
        arguments = (str(context.run_dir), str(self.build.onnx_file or ""), str(outputs_file))
        ready = None
        if self.interleavable():
            ready = self.warm_up(*arguments, context.settings.worker_iterations, interleaved=True)
        if ready is None:
            if self._process is not None:
                self._process.finish(context.on_stage)  # raises if it crashed
            raise not_interleavable(context.runtime)
        return ready

    def take_block(self, samples: int) -> Block:
        """Have the warm worker take one block of so many samples.

        Raises:
            WorkerError: it crashed, reported an error, or time is up.
        """
        assert self._process is not None
        return self._process.block(samples, self._bound().on_stage)

    def finish(self) -> None:
        """Wait until the worker has written its outputs and ended.

        Raises:
            WorkerError: it crashed, reported an error, or time is up.
        """
        assert self._process is not None
        self._process.end()
        self._worker_outputs = self._process.finish(self._bound().on_stage)

    def mean_latency(self) -> float:
        """Mean latency in milliseconds, without the disturbed blocks that are set aside."""
        assert self.measurement is not None
        used_ns = self.measurement.used_ns
        return sum(used_ns) / len(used_ns) / self.measurement.outputs.group / 1e6

    def throughput(self) -> float:
        """Inferences per second: one call after the other, so the inverse of the mean latency."""
        return 1000 / self.mean_latency()

    def device_name(self) -> str:
        """The name of the CPU as its vendor calls it."""
        from isobench.system import provenance

        return provenance.cpu_model()

    def _environment(self) -> Environment:
        context: Context = self._bound()
        if context.environment is None:
            raise UsageError(
                f"{context.runtime} has a worker, but names no environment",
                hint=f"Set the attribute `environment` of {type(self).__qualname__} to the name of a folder in envs/.",
            )
        return context.environment


def not_interleavable(runtime: str) -> UsageError:
    """The error for a runtime that can't be interleaved."""
    return UsageError(
        f"{runtime} can't be interleaved with others, because it can't measure single blocks",
        hint="Measure one after the other: leave out --interleave, or compare two results: isobench compare ID_1 ID_2",
    )
