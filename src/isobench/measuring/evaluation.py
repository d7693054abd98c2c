"""What came of runs -> the figures, their intervals and the verdict."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from isobench import analysis
from isobench.analysis import Block, Selection, Summary, correctness
from isobench.analysis.correctness import Comparison
from isobench.planning.settings import Settings
from isobench.results import ColdStart, Measured, Run, Warmup, noise_floor
from isobench.workers import machine, protocol

if TYPE_CHECKING:
    import numpy as np

    from isobench.runtimes.base import BaseRT, MeasuredPerformance

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """One run that came to its end: `samples_ns` are of `run.group` iterations each.

    `end_to_end_ns` are as many, from host memory to host memory, where the model ran on a GPU; else there are none.
    """

    run: Run
    samples_ns: array[int]
    end_to_end_ns: array[int]
    selection: Selection
    comparison: Comparison
    facts: Mapping[str, Any]
    stats: Mapping[str, Any]
    process: Mapping[str, Any]
    version: str
    device_name: str

    @property
    def wall_s(self) -> float:
        """How long it was timed."""
        return sum(self.samples_ns) / 1e9

    def used_ns(self) -> array[int]:
        """The samples that the figures are of."""
        return analysis.used_samples(self.samples_ns, self.run.blocks, self.run.used)

    def used_blocks(self) -> list[Block]:
        """The blocks that the figures are of."""
        return [block for block, used in zip(self.run.blocks, self.run.used, strict=True) if used]

    def used_blocks_s(self) -> list[Array]:
        """Seconds of an inference, block by block, of the blocks that are used; one block where none are known."""
        import numpy as np

        samples_s = np.asarray(self.samples_ns) / (self.run.group * 1e9)
        found, first = [], 0
        for block, used in zip(self.run.blocks, self.run.used, strict=True):
            if used:
                found.append(samples_s[first : first + block.samples])
            first += block.samples
        return found or [samples_s]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A measurement, and half the width of the median's interval as a share of the median."""

    measured: Measured
    width: float


def prepare() -> None:
    """Load what judging needs, while there is nothing else to do but to wait for a worker.

    numpy's threads would spin for some 30 ms beside it; told so, they sleep as soon as they have nothing to do.
    """
    name = "OPENBLAS_THREAD_TIMEOUT"  # 2**4 cycles, the least; read once, when numpy is loaded
    users = os.environ.get(name)
    os.environ[name] = users or "4"
    import numpy.random  # noqa: F401

    if users is None:
        del os.environ[name]


def finished(
    runtime: BaseRT,
    performance: MeasuredPerformance,
    expected: Sequence[protocol.Tensor],
    began: datetime,
    folder: str,
    settings: Settings,
) -> Finished:
    """What a runtime's worker left, as one run."""
    outputs = runtime.outputs
    facts = dict(outputs.get("facts", {}))
    process = outputs.get("process", {})
    blocks = runtime.blocks
    selection = analysis.select(blocks, resolution_s=runtime.resolution_s, enabled=settings.select)
    warmup = outputs.get("warmup")
    used = analysis.used_samples(runtime.samples_ns, blocks, selection.used)
    return Finished(
        run=Run(
            started_at=began.isoformat(timespec="milliseconds"),
            cold_start=ColdStart(
                import_s=outputs.get("import_s"),
                load_s=outputs.get("load_s"),
                compile_s=facts.pop("compile_s", None),
                first_inference_s=outputs.get("first_inference_s"),
                # The kernel's monotonic clock is one for all processes.
                start_s=outputs["started_s"] - runtime.spawned_s if "started_s" in outputs else None,
            ),
            warmup=Warmup(**{**warmup, "curve": tuple(map(tuple, warmup["curve"]))}) if warmup else None,
            timer_s=outputs.get("timer_s"),
            group=runtime.group,
            blocks=blocks,
            used=selection.used,
            median_s=analysis.summarize(used, group=runtime.group).median_s,
            threads=outputs.get("threads", {}),
            peak_memory_bytes=process.get("peak_memory_bytes"),
            samples_file=f"{folder}/{protocol.SAMPLES_FILE}",
        ),
        samples_ns=runtime.samples_ns,
        end_to_end_ns=runtime.end_to_end_ns,
        selection=selection,
        comparison=correctness.compare(expected, runtime.output_tensors()),
        facts=facts,
        stats=dict(runtime.stats.values),
        process=process,
        version=performance.runtime_version,
        device_name=performance.device,
    )


def judge(runs: Sequence[Finished], settings: Settings) -> Judged:
    """The figures of all runs together; wrong outputs in one of them make all of it invalid."""
    import numpy as np

    floor = noise_floor.floor()
    used = np.concatenate([np.asarray(run.used_ns()) / run.run.group for run in runs])
    # The iterations are counted for themselves: runs may differ in how many they time together.
    latency = _counted(analysis.summarize(used), runs, used_only=True)
    everything = np.concatenate([np.asarray(run.samples_ns) / run.run.group for run in runs])
    intervals = analysis.intervals([run.used_blocks_s() for run in runs], floor=floor.runs, seed=settings.seed)
    width = intervals["median_s"].relative(latency.median_s)
    worst = next((run.comparison for run in runs if not run.comparison.ok), runs[0].comparison)
    blocks = [block for run in runs for block in run.run.blocks]
    total_s = math.fsum(block.wall_s for block in blocks)
    clean_s = math.fsum(run.selection.clean_share * math.fsum(block.wall_s for block in run.run.blocks) for run in runs)
    clean_share = clean_s / total_s if total_s else 1.0
    return Judged(
        measured=Measured(
            latency=latency,
            latency_all=_counted(analysis.summarize(everything), runs, used_only=False),
            intervals=intervals,
            noise_floor=floor.runs,
            floor_source=floor.source,
            set_aside_s=math.fsum(run.selection.set_aside_s for run in runs),
            clean_share=clean_share,
            verdict=analysis.verdict(
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
                ],
            ),
            correctness=worst,
            runs=tuple(run.run for run in runs),
            facts=runs[-1].facts,
            stats=runs[-1].stats,
            end_to_end=_end_to_end(runs),
            gpu=analysis.summarize_gpu([block.gpu for run in runs for block in run.used_blocks() if block.gpu]),
        ),
        width=width,
    )


def enough(runs: Sequence[Finished], judged: Judged, settings: Settings) -> bool:
    """Is the interval as narrow as was asked for, or time up?"""
    measured_s = sum(run.wall_s for run in runs)
    return settings.precision is None or judged.width <= settings.precision or measured_s >= settings.max_time_s


def _end_to_end(runs: Sequence[Finished]) -> Summary | None:
    used = array("q")
    for run in runs:
        if run.end_to_end_ns:
            used += analysis.used_samples(run.end_to_end_ns, run.run.blocks, run.run.used)
    return analysis.summarize(used) if used else None


def _counted(summary: Summary, runs: Sequence[Finished], *, used_only: bool) -> Summary:
    iterations = 0
    for run in runs:
        samples = len(run.used_ns()) if used_only else len(run.samples_ns)
        iterations += samples * run.run.group
    return replace(summary, iterations=iterations)


def _disturbed(runs: Sequence[Finished], clean_share: float) -> list[str]:
    """Runs whose blocks are all used, though others disturbed them: what is clean beside them mustn't hide it."""
    disturbed = sum(run.selection.clean_share < analysis.LEAST_CLEAN for run in runs)
    if not disturbed or clean_share < analysis.LEAST_CLEAN:  # then it's told of all of them
        return []
    were = f"{disturbed} of {len(runs)} runs {'was' if disturbed == 1 else 'were'}"
    return [f"{were} disturbed for most of the time, and nothing of {'it' if disturbed == 1 else 'them'} was set aside"]


def _only_a_mean(runs: Sequence[Finished]) -> list[str]:
    if all(run.run.blocks or len(run.samples_ns) > 1 or run.run.group == 1 for run in runs):
        return []
    return ["the runtime told the mean of all iterations alone: how they differ isn't known"]


def _too_wide(width: float, settings: Settings) -> list[str]:
    if settings.precision is None or width <= settings.precision:
        return []
    reached = f"the median's interval is \u00b1{width:.1%}, wider than the {settings.precision:.2%} asked for"
    return [f"{reached}, after {settings.max_time_s:g} s (--max-time)"]


def _not_in_effect(runs: Sequence[Finished], settings: Settings) -> list[str]:
    """What was asked for and isn't so, as the workers themselves saw it at their end."""
    doubts: dict[str, None] = {}
    for run in runs:
        told, threads, asked = run.process, run.run.threads.get("runtime"), run.run.threads_asked(settings)
        if threads is not None and threads != asked:
            were = "thread was" if asked == 1 else "threads were"
            doubts[f"{asked} {were} asked for, and the runtime uses {threads}"] = None
        if settings.cpus and not set(told.get("affinity", ())) <= set(settings.cpus):
            used = machine.cpu_list(told["affinity"])
            doubts[f"the CPUs {machine.cpu_list(settings.cpus)} were asked for, and the worker used {used}"] = None
        if settings.nice != told.get("nice", settings.nice):
            doubts[f"the priority {settings.nice} was asked for, and the worker had {told['nice']}"] = None
        if list(settings.memory_nodes) != told.get("memory_nodes", list(settings.memory_nodes)):
            doubts["the worker's memory wasn't bound to the nodes that were asked for"] = None
    return list(doubts)
