"""isobench from Python, with the command line's whole power.

import isobench

result = isobench.benchmark("model.py", runtime="ort")
print(result.latency.mean_s, result.outcome.verdict.status)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isobench import paths
from isobench.console import Console, Progress
from isobench.environments import choice
from isobench.errors import UsageError
from isobench.executors.local import run, run_sequence
from isobench.measuring.case import Plan
from isobench.planning import selection
from isobench.planning.models import Model
from isobench.planning.settings import Settings
from isobench.results import SavedResult
from isobench.runtimes import registry
from isobench.runtimes.worker_rt import no_turns
from isobench.system.devices import default_threads
from isobench.tools.base import Tool
from isobench.tools.benchmark import Benchmark
from isobench.tools.sequence import Sequence as Tools
from isobench.workers import machine

if TYPE_CHECKING:
    from isobench.results import Result

DEFAULT_ITERATIONS = 100


def plan(
    models: Sequence[str],
    *,
    runtimes: Sequence[str] = (),
    device: str = "x86",
    iterations: int | None = None,
    min_time_s: float = 0.5,
    max_time_s: float | None = None,
    warmup: int | None = None,
    processes: int = 1,
    precision: float | None = None,
    select: bool = True,
    heap: str = "steady",
    threads: int | None = None,
    cpus: Sequence[int] = (),
    nice: int = 0,
    memory_nodes: Sequence[int] = (),
    seed: int = 0,
    timeout_s: float = 900.0,
    opset: int | None = None,
    max_depth: int = 0,
    script_args: Sequence[str] = (),
    dimensions: Mapping[str, int] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    labels: Sequence[str] = (),
    rt_args: Mapping[str, Any] | None = None,
    in_turns: bool = False,
    wait: bool = True,
    results: Path | None = None,
) -> Plan:
    """Check what is asked for, all of it, before any work. What the figures mean is said at `models.Settings`.

    Raises:
        UsageError: an unknown runtime, device or provider, a number that can't be, or no folder to write to.
        ModelError: a file isn't there, or is no model.
    """
    for name, value, least in (
        ("iterations", iterations, 1),
        ("warmup", warmup, 1),
        ("threads", threads, 1),
        ("timeout", timeout_s, 0.1),
        ("processes", processes, 1),
        ("precision", precision, 1e-4),
        ("min-time", min_time_s, 0),
        ("max-time", max_time_s, 0),
        ("opset", opset, 1),
    ):
        _check_least(name, value, least)
    _check_script(seed, max_depth)
    if in_turns and iterations is not None:
        raise UsageError(
            "interleaved Cases take blocks of time, not a number of iterations",
            hint="Leave out --iterations; --min-time, --processes and --precision say how much.",
        )
    if heap not in {"steady", "default"}:
        raise UsageError(f"the heap is {heap!r}: it is to be steady or default")
    _check_control(cpus, nice, memory_nodes)
    where = registry.device(device)
    names = runtimes or (registry.default(where),)
    entries = [registry.get(name, where) for name in dict.fromkeys(names)]
    for entry in entries:
        entry.make(rt_args or {})
        if in_turns and not entry.cls.takes_turns():
            raise no_turns(entry.name)
    if where.family == "nvidia":
        from isobench.system import nvidia

        nvidia.gpu(where)
    choice.wanted()
    chosen = selection.select(models, labels=labels, script_args=script_args, dimensions=dimensions, shapes=shapes)
    for entry in entries:
        for model in chosen if entry.default_sequence is not None else ():
            entry.default_sequence.preparing(model).check(model)
    _check_folder(results or paths.results())
    return Plan(
        models=chosen,
        runtimes=entries,
        device=where,
        settings=Settings(
            iterations=iterations or DEFAULT_ITERATIONS,
            exactly=iterations is not None,
            min_time_s=min_time_s,
            max_time_s=max_time_s if max_time_s is not None else 10.0 if precision is None else 60.0,
            warmup=warmup,
            processes=processes,
            precision=precision,
            select=select,
            heap=heap,
            threads=threads or default_threads(cpus),
            cpus=tuple(sorted(set(cpus))),
            nice=nice,
            memory_nodes=tuple(sorted(set(memory_nodes))),
            seed=seed,
            timeout_s=timeout_s,
            opset=opset,
            max_depth=max_depth,
        ),
        rt_args=dict(rt_args or {}),
        in_turns=in_turns,
        wait=wait,
        command=tuple(sys.argv),
        results=results,
    )


def sequence(
    models: Sequence[str],
    tools: Tools,
    *,
    script_args: Sequence[str] = (),
    labels: Sequence[str] = (),
    seed: int = 0,
    timeout_s: float = 900.0,
    results: Path | None = None,
    progress: Progress | None = None,
) -> Iterator[SavedResult]:
    """Take models through a sequence of tools; yields what its `benchmark` tools measure, each Result already on disk.

    All of it is checked when this is called: the order of the tools for every model, the runtimes, their arguments.

    Raises:
        UsageError: something of it can't be.
        ModelError: a file isn't there, or is no model.
    """
    _check_script(seed, 0)
    chosen = selection.select(models, labels=labels, script_args=script_args)
    for model in chosen:
        tools.check(model)
    shared: dict[str, Any] = {
        "script_args": script_args,
        "labels": labels,
        "seed": seed,
        "timeout_s": timeout_s,
        "results": results,
    }
    plans: dict[Tool, Plan] = {
        tool: plan(models, **tool.plan_options(), **shared) for tool in tools if isinstance(tool, Benchmark)
    }
    settings = Settings(threads=default_threads(), seed=seed, timeout_s=timeout_s)
    return run_sequence(tools, chosen, settings, plans, progress or Console(quiet=True))


def _check_least(name: str, value: float | None, least: float) -> None:
    if value is not None and value < least:
        raise UsageError(f"{name} is {value}: it is to be at least {least}")


def _check_script(seed: int, max_depth: int) -> None:
    _check_least("max-depth", max_depth, 0)
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed is {seed}: it is to be from 0 to {2**32 - 1}")


def _check_control(cpus: Sequence[int], nice: int, memory_nodes: Sequence[int]) -> None:
    if not -20 <= nice <= 19:
        raise UsageError(f"nice is {nice}: it is to be from -20 (first) to 19 (last)")
    for what, asked, there in (
        ("CPU", cpus, machine.cpus()),
        ("memory node", memory_nodes, machine.memory_nodes() if memory_nodes else ()),
    ):
        unknown = sorted(set(asked) - set(there))
        if unknown:
            known = machine.cpu_list(there) or "none"
            raise UsageError(
                f"{what} {machine.cpu_list(unknown)} is none of those that this process may use",
                hint=f"These are at hand: {known}.",
            )


def _check_folder(results: Path) -> None:
    try:
        results.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(results, os.W_OK | os.X_OK) else "it can't be written to"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise UsageError(
            f"results can't be saved in {results}: {reason}",
            hint="Name another folder with --output, or set ISOBENCH_HOME.",
        )


def measure(of: Plan, progress: Progress | None = None) -> Iterator[SavedResult]:
    """Measure a plan's Cases; each Result is on disk when it is yielded."""
    return run(of, progress or Console(quiet=True))


def benchmark(model: str | Path, *, runtime: str = "", device: str = "x86", **options: Any) -> Result:
    """Measure one model on one runtime and return the Result; `options` are those of `plan`.

    Where it came to no measurement, the Result's `outcome` is `Failed` and says why; its `latency` then raises.

    Raises:
        UsageError: what is asked for can't be; or a script calls several models and none is named (`model.py::hash`).
        ModelError: there is no such file, or it is no model.
    """
    asked = plan([str(model)], runtimes=[runtime] if runtime else (), device=device, **options)
    saved = list(measure(asked))
    if len(saved) > 1:
        names = ", ".join(f"{one.result.model.path}::{one.result.model.hash}" for one in saved)
        raise UsageError(f"{model} is several models: {names}", hint="Name one of them, or use isobench.benchmark_all.")
    return saved[0].result


def benchmark_all(models: Sequence[str | Path], *, runtimes: Sequence[str] = (), **options: Any) -> list[Result]:
    """Measure every model on every runtime; a Case that fails is a Result, too. `options` are those of `plan`."""
    return [one.result for one in measure(plan([str(model) for model in models], runtimes=runtimes, **options))]


def discover(
    model: str | Path,
    *,
    script_args: Sequence[str] = (),
    max_depth: int = 0,
    threads: int | None = None,
    seed: int = 0,
    timeout_s: float = 900.0,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Run a script and describe each model that it calls: name, class, hash, parameters, invocations, inputs.

    Raises:
        ModelError: the script fails, or calls no model.
    """
    from isobench import environments
    from isobench.builds import from_script

    _check_script(seed, max_depth)
    [chosen] = selection.select([str(model)], script_args=script_args)
    if not chosen.is_script:
        raise UsageError(f"{model} is no script: discover runs Python scripts")
    console = progress or Console(quiet=True)
    spec = environments.choose(environments.for_script(chosen.path, progress=console.stage), note=console.note)
    environment = environments.create(spec, progress=console.stage)
    environments.check(environment)
    settings = Settings(threads=threads or default_threads(), seed=seed, timeout_s=timeout_s, max_depth=max_depth)
    found = from_script.discover(
        replace(chosen, hash=""), environment=environment, settings=settings, on_stage=console.stage
    )
    return [entry for entry in found if entry["hash"].startswith(chosen.hash)]


__all__ = ["Model", "benchmark", "benchmark_all", "discover", "measure", "plan", "sequence"]
