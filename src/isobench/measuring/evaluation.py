"""Completed runs -> the figures, their intervals and the verdict."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from isobench.analysis.correctness import Correctness
from isobench.analysis.gpu_noise import summarize_gpu
from isobench.analysis.intervals import intervals_of
from isobench.analysis.noise import LEAST_CLEAN, Block, used_samples, verdict
from isobench.analysis.summary import Summary, summarize
from isobench.planning.settings import Settings
from isobench.record import record
from isobench.results import ColdStart, Measured, Run, noise_floor
from isobench.workers import machine, protocol

if TYPE_CHECKING:
    import numpy as np

    from isobench.supervisor.outputs import Measurement

    Array = np.ndarray[Any, Any]


@record(frozen=True, slots=True, kw_only=True)
class CompletedRun:
    """A run that was measured to its end: its record, its samples, and how its outputs compare with the expected."""

    run: Run
    measurement: Measurement
    comparison: Correctness
    facts: Mapping[str, Any]
    stats: Mapping[str, Any]
    version: str
    device_name: str

    @property
    def wall_s(self) -> float:
        """How long it was timed."""
        return sum(self.measurement.samples_ns) / 1e9

    def used_blocks(self) -> list[Block]:
        """The blocks that the figures are made from."""
        return [block for block, used in zip(self.run.blocks, self.run.used, strict=True) if used]

    def used_blocks_s(self) -> list[Array]:
        """Seconds of an inference in each used block; all samples in one where the worker reported no blocks."""
        import numpy as np

        samples_s = np.asarray(self.measurement.samples_ns) / (self.run.group * 1e9)
        found, first = [], 0
        for block, used in zip(self.run.blocks, self.run.used, strict=True):
            if used:
                found.append(samples_s[first : first + block.samples])
            first += block.samples
        return found or [samples_s]


@record(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The figures of runs, and half the width of the median's interval as a share of the median."""

    measured: Measured
    width: float


def prepare() -> None:
    """Import what follows a measurement, up to its table, while the host has nothing to do but wait for the worker.

    numpy's threads would spin for some 30 ms beside the worker; with the shortest time-out they sleep when idle.
    """
    name = "OPENBLAS_THREAD_TIMEOUT"  # 2**4 cycles, the least; read once, when numpy is loaded
    users = os.environ.get(name)
    os.environ[name] = users or "4"
    import numpy.random  # noqa: F401

    import isobench.reports.table
    import isobench.supervisor.outputs  # noqa: F401

    if users is None:
        del os.environ[name]


def completed_run(
    measurement: Measurement,
    comparison: Correctness,
    *,
    began: datetime,
    folder: str,
    spawned_s: float = 0.0,
    stats: Mapping[str, Any] | None = None,
    version: str = "",
    device_name: str = "",
) -> CompletedRun:
    """The run of a measurement, whose worker was started at `spawned_s` on the monotonic clock."""
    outputs = measurement.outputs
    facts = dict(outputs.facts)
    return CompletedRun(
        run=Run(
            started_at=began.isoformat(timespec="milliseconds"),
            cold_start=ColdStart(
                import_s=outputs.import_s,
                load_s=outputs.load_s,
                compile_s=facts.pop("compile_s", None),
                first_inference_s=outputs.first_inference_s,
                start_s=None if outputs.started_s is None else outputs.started_s - spawned_s,
            ),
            warmup=outputs.warmup,
            timer_s=outputs.timer_s,
            group=outputs.group,
            blocks=outputs.blocks,
            used=measurement.selection.used,
            median_s=summarize(measurement.used_ns, group=outputs.group).median_s,
            threads=outputs.threads,
            peak_memory_bytes=outputs.process.get("peak_memory_bytes"),
            samples_file=f"{folder}/{protocol.SAMPLES_FILE}",
        ),
        measurement=measurement,
        comparison=comparison,
        facts=facts,
        stats=dict(stats or {}),
        version=version,
        device_name=device_name,
    )


def evaluate(runs: Sequence[CompletedRun], settings: Settings) -> Evaluation:
    """The figures of all runs together. Wrong outputs of one run make the whole measurement invalid."""
    import numpy as np

    floor = noise_floor.floor()
    used = np.concatenate([np.asarray(run.measurement.used_ns) / run.run.group for run in runs])
    # Iterations are counted apart from samples: runs may differ in how many they time together.
    latency = _counted(summarize(used), runs, used_only=True)
    everything = np.concatenate([np.asarray(run.measurement.samples_ns) / run.run.group for run in runs])
    intervals = intervals_of([run.used_blocks_s() for run in runs], floor=floor.runs, seed=settings.seed)
    width = intervals["median_s"].relative(latency.median_s)
    worst = next((run.comparison for run in runs if not run.comparison.ok), runs[0].comparison)
    blocks = [block for run in runs for block in run.run.blocks]
    total_s = math.fsum(block.wall_s for block in blocks)
    clean_s = math.fsum(
        run.measurement.selection.clean_share * math.fsum(block.wall_s for block in run.run.blocks) for run in runs
    )
    clean_share = clean_s / total_s if total_s else 1.0
    return Evaluation(
        measured=Measured(
            latency=latency,
            latency_all=_counted(summarize(everything), runs, used_only=False),
            intervals=intervals,
            noise_floor=floor.runs,
            floor_source=floor.source,
            set_aside_s=math.fsum(run.measurement.selection.set_aside_s for run in runs),
            clean_share=clean_share,
            verdict=verdict(
                blocks,
                worst.reasons,
                iterations=latency.iterations,
                total_s=latency.iterations * latency.mean_s,
                clean_share=clean_share,
                median_s=latency.median_s,
                doubts=[
                    *_disturbed(runs, clean_share),
                    *_only_a_mean(runs),
                    *_not_in_effect(runs, settings),
                    *_too_wide(width, settings),
                    *dict.fromkeys(doubt for run in runs for doubt in run.comparison.doubts),
                ],
                notes=[*worst.notes, *dict.fromkeys(_crashes(runs))],
            ),
            correctness=worst,
            runs=tuple(run.run for run in runs),
            facts=runs[-1].facts,
            stats=runs[-1].stats,
            end_to_end=_end_to_end(runs),
            gpu=summarize_gpu([block.gpu for run in runs for block in run.used_blocks() if block.gpu]),
        ),
        width=width,
    )


def enough(runs: Sequence[CompletedRun], evaluation: Evaluation, settings: Settings) -> bool:
    """Is the interval as narrow as requested, or time up?"""
    measured_s = sum(run.wall_s for run in runs)
    return settings.precision is None or evaluation.width <= settings.precision or measured_s >= settings.max_time_s


def _end_to_end(runs: Sequence[CompletedRun]) -> Summary | None:
    used = array("q")
    for run in runs:
        if run.measurement.end_to_end_ns:
            used += used_samples(run.measurement.end_to_end_ns, run.run.blocks, run.run.used)
    return summarize(used) if used else None


def _counted(summary: Summary, runs: Sequence[CompletedRun], *, used_only: bool) -> Summary:
    iterations = 0
    for run in runs:
        samples = len(run.measurement.used_ns) if used_only else len(run.measurement.samples_ns)
        iterations += samples * run.run.group
    return replace(summary, iterations=iterations)


def _disturbed(runs: Sequence[CompletedRun], clean_share: float) -> list[str]:
    """Runs whose blocks are all used although others disturbed them: clean runs beside them must not hide it."""
    disturbed = sum(run.measurement.selection.clean_share < LEAST_CLEAN for run in runs)
    if not disturbed or clean_share < LEAST_CLEAN:  # then the verdict says it of all runs together
        return []
    were = f"{disturbed} of {len(runs)} runs {'was' if disturbed == 1 else 'were'}"
    its = "its" if disturbed == 1 else "their"
    return [f"{were} disturbed for most of the time, so none of {its} blocks were set aside"]


def _only_a_mean(runs: Sequence[CompletedRun]) -> list[str]:
    if all(run.run.blocks or len(run.measurement.samples_ns) > 1 or run.run.group == 1 for run in runs):
        return []
    return ["the runtime reported only a mean, so the variance is unknown"]


def _too_wide(width: float, settings: Settings) -> list[str]:
    if settings.precision is None or width <= settings.precision:
        return []
    reached = f"the median's interval is \u00b1{width:.1%} after {settings.max_time_s:g} s (--max-time)"
    return [f"{reached}, wider than the requested {settings.precision:.2%} (--precision)"]


def _not_in_effect(runs: Sequence[CompletedRun], settings: Settings) -> list[str]:
    """What differs from what was requested, as each worker saw it at its end: resources, compilation."""
    doubts: dict[str, None] = {}
    for run in runs:
        actual = run.measurement.outputs.process
        threads, requested = run.run.threads.get("runtime"), run.run.threads_asked(settings)
        if threads is not None and threads != requested:
            doubts[f"the runtime used {_threads(threads)}, requested: {requested}"] = None
        if settings.cpus and not set(actual.get("affinity", ())) <= set(settings.cpus):
            used = machine.cpu_list(actual["affinity"])
            doubts[f"the worker used the CPUs {used}, requested: {machine.cpu_list(settings.cpus)}"] = None
        if settings.nice != actual.get("nice", settings.nice):
            doubts[f"the worker had the priority {actual['nice']}, requested: {settings.nice}"] = None
        if run.facts.get("graphs") == 0:
            doubts["torch.compile compiled no graph: the model ran eagerly"] = None
        nodes = actual.get("memory_nodes", list(settings.memory_nodes))
        if nodes != list(settings.memory_nodes):
            bound, wanted = (machine.cpu_list(some) or "none" for some in (nodes, settings.memory_nodes))
            doubts[f"the worker's memory was bound to the nodes {bound}, requested: {wanted}"] = None
    return list(doubts)


def _crashes(runs: Sequence[CompletedRun]) -> list[str]:
    """Workers that crashed after they had written everything: their figures count."""
    ends = [run.measurement.outputs.crash for run in runs]
    return [f"the worker {end} after it had written its results (see worker.log)" for end in ends if end]


def _threads(count: int) -> str:
    return f"{count} thread" if count == 1 else f"{count} threads"
