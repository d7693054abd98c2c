"""isobench from Python: everything that the command line can do.

import isobench

result = isobench.benchmark("model.py", runtime="ort")
print(result.latency.mean_s, result.outcome.verdict.status)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isobench import paths
from isobench.console import Console, Progress
from isobench.errors import UsageError
from isobench.executors.local import LocalExecutor
from isobench.planning import selection
from isobench.planning.models import Model
from isobench.planning.plan import Plan
from isobench.planning.retry import Retry
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.planning.settings import BUILD_OPTIONS, OPTIONS, Settings
from isobench.preflight.plan import fitting, plan
from isobench.tools.base import Tool
from isobench.tools.sequence import Sequence as Tools

if TYPE_CHECKING:
    from isobench.builds.discovered import DiscoveredModel
    from isobench.builds.model_inputs import ModelInputs
    from isobench.environments import Environment
    from isobench.executors.base import Executor
    from isobench.results import Result, SavedResult
    from isobench.sweeps.task import Sweep


def sequence(
    models: Sequence[str],
    tools: Tools,
    *,
    script_args: Sequence[str] = (),
    dimensions: Mapping[str, int] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    inputs: Sequence[str | Path] = (),
    fill: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    labels: Sequence[str] = (),
    results: Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Iterator[SavedResult]:
    """Take models through a sequence of tools; yields the Results of its `benchmark` tools, each saved before.

    Everything is checked when this is called: the order of the tools for every model, the runtimes and their arguments.
    `settings` are those of the builds (`BUILD_OPTIONS`); the `benchmark` tools have their own for measuring.

    Raises:
        UsageError: the order of the tools, a runtime or an option is invalid.
        ModelError: a file doesn't exist, or isn't a model.
    """
    from isobench.tools.benchmark import Benchmark
    from isobench.tools.load_onnx import LoadOnnx

    misplaced = [name for name in settings if name in OPTIONS and name not in BUILD_OPTIONS]
    if misplaced:
        raise UsageError(
            f"a sequence has no option {misplaced[0]!r}", hint="Give it to the benchmark tools of the sequence."
        )
    chosen_settings = Settings.of(**settings)
    values: dict[str, Any] = {"dimensions": dimensions, "shapes": shapes, "fill": fill, "inputs": inputs, "env": env}
    chosen = fitting(selection.select(models, labels=labels, script_args=script_args, **values))
    for tool in tools:
        chosen = tool.with_sizes(chosen) if isinstance(tool, LoadOnnx) else chosen
    for model in chosen:
        tools.check(model)
    shared = {"script_args": script_args, "labels": labels, "results": results, **values, **settings}
    plans: dict[Tool, Plan] = {
        tool: plan(models, **(shared | tool.plan_options())) for tool in tools if isinstance(tool, Benchmark)
    }
    executor = LocalExecutor()
    return executor.run_sequence(tools, chosen, chosen_settings, plans, progress or Console(quiet=True))


def measure(
    of: Plan,
    progress: Progress | None = None,
    *,
    executor: Executor | None = None,
    resume: bool = False,
    retry: Retry | str = Retry.NONE,
) -> Iterator[SavedResult]:
    """Measure a plan's Cases, by default on this machine; each Result is saved before it is yielded.

    With `resume`, a Case that has a Result of this machine in the plan's folder of results isn't measured again: that
    Result is yielded. `retry` says which Cases are measured all the same (`Retry`): "infrastructure", "failed", "all".

    Raises:
        UsageError: there is no such retry, or one without `resume`; or another executor is to resume.
    """
    again, shown = _retry(retry), progress or Console(quiet=True)
    if resume and executor is not None:
        raise UsageError("only the local executor resumes a plan", hint="Leave out `executor`, or use a sweep.")
    if not resume:
        if again is not Retry.NONE:
            raise UsageError(f"--retry {again} is for Cases that were measured before", hint="Give --resume, too.")
        return (executor or LocalExecutor()).run(of, shown)
    return _resumed(of, shown, again)


def _resumed(of: Plan, progress: Progress, retry: Retry) -> Iterator[SavedResult]:
    from isobench.executors.resuming import MeasuredBefore

    with MeasuredBefore(of.results or paths.results(), retry, progress) as before:
        yield from LocalExecutor(before=before, unbuilt=before).run(of, progress)


def _retry(given: Retry | str) -> Retry:
    try:
        return Retry(given)
    except ValueError:
        raise UsageError(f"no retry {str(given)!r}", hint=f"Use one of {', '.join(Retry)}.") from None


def sweep(
    suite: str | Path | Sweep,
    *,
    output: Path | None = None,
    name: str = "",
    executor: str | None = None,
    options: Mapping[str, Any] | None = None,
    attempts: int | None = None,
    progress: Progress | None = None,
) -> Iterator[SavedResult]:
    """Measure a suite (a `suite.toml`), or a Sweep that `preflight.sweep` made of one; yields each Result once saved.

    Everything is checked when this is called, and the sweep's folder is written: `output`, or one in
    $ISOBENCH_HOME/sweeps. `name` is the sweep's. `executor`, its `options` and `attempts` replace those of the suite. A
    sweep that is interrupted goes on with `resume`.

    Raises:
        UsageError: the suite is invalid, the executor is unknown, or the folder holds a sweep already.
        LockError: another process works on the sweep.
    """
    from isobench.executors import sweep as carrying
    from isobench.sweeps.folder import SweepFolder
    from isobench.sweeps.task import Sweep

    shown = progress or Console(quiet=True)
    if isinstance(suite, Sweep):
        planned = suite
    else:
        from isobench.planning import suite_file
        from isobench.preflight import sweep as checking

        planned = checking.sweep(
            suite_file.load(suite), name=name, executor=executor, options=options, attempts=attempts, note=shown.note
        )
    folder = SweepFolder.create(planned, (output or paths.sweeps() / planned.name).absolute())
    return carrying.run(folder, shown)


def resume(
    sweep: str | Path,
    *,
    retry: Retry | str = Retry.NONE,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Iterator[SavedResult]:
    """Go on with a sweep: its folder, its name, or the beginning of that. What is measured isn't measured again.

    `retry` says which Cases are measured again although they have a Result (`Retry`); `options` change options of the
    sweep's executor, such as {"time": 60} of Slurm's.

    Raises:
        UsageError: there is no such sweep or retry, or an option isn't allowed.
        LockError: another process works on it.
    """
    from isobench.executors import sweep as carrying
    from isobench.sweeps.folder import SweepFolder

    return carrying.run(SweepFolder.find(sweep), progress or Console(quiet=True), retry=_retry(retry), options=options)


def benchmark(model: str | Path, *, runtime: str | RuntimeChoice = "", device: str = "x86", **options: Any) -> Result:
    """Measure one model on one runtime and return the Result; `options` are those of `plan`.

    If measuring failed, the Result's `outcome` is `Failed`, and its `latency` raises.

    Raises:
        UsageError: the request is invalid, or a script calls several models and none is chosen (`model.py::hash`).
        ModelError: the file doesn't exist, or isn't a model.
    """
    requested = plan([str(model)], runtimes=[runtime] if runtime else (), device=device, **options)
    saved = list(measure(requested))
    if len(saved) > 1:
        names = ", ".join(f"{one.result.model.path}::{one.result.model.hash}" for one in saved)
        raise UsageError(
            f"{model} has several models: {names}", hint="Choose one of them, or use isobench.benchmark_all."
        )
    return saved[0].result


def benchmark_all(
    models: Sequence[str | Path], *, runtimes: Sequence[str | RuntimeChoice] = (), **options: Any
) -> list[Result]:
    """Measure every model on every runtime; a Case that fails is a Result as well. `options` are those of `plan`."""
    return [one.result for one in measure(plan([str(model) for model in models], runtimes=runtimes, **options))]


def discover(
    model: str | Path,
    *,
    script_args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> list[DiscoveredModel]:
    """Run a script and describe each model that it calls.

    Raises:
        ModelError: the script fails, or calls no model.
    """
    from isobench.builds import from_script

    chosen_settings = Settings.of(**settings)
    chosen = selection.one(str(model), script_args=script_args, env=env)
    if not chosen.is_script:
        raise UsageError(f"discover needs a Python script, got {model}")
    console = progress or Console(quiet=True)
    environment = _script_environment(chosen, console)
    found = from_script.discover(
        replace(chosen, hash=""), environment=environment, settings=chosen_settings, on_stage=console.stage
    )
    return [entry for entry in found if entry.hash.startswith(chosen.hash)]


def inputs(
    model: str | Path,
    *,
    script_args: Sequence[str] = (),
    dimensions: Mapping[str, int] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    inputs: Sequence[str | Path] = (),
    fill: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> list[ModelInputs]:
    """The inputs that an `.onnx` file, or each model of a script, would be measured with.

    Raises:
        ModelError: the file can't be read, or the script fails.
        UsageError: the sizes of inputs aren't fixed, or values that were given don't fit.
    """
    from isobench import builds
    from isobench.builds import model_inputs

    chosen_settings = Settings.of(**settings)
    chosen = selection.one(
        str(model),
        script_args=script_args,
        dimensions=dimensions,
        shapes=shapes,
        inputs=inputs,
        fill=fill,
        env=env,
    )
    if not chosen.is_script:
        return [model_inputs.of_onnx(chosen, chosen_settings.seed)]
    console = progress or Console(quiet=True)
    environment = _script_environment(chosen, console)
    found = builds.find_or_make(
        chosen, onnx=False, environment=environment, settings=chosen_settings, on_stage=console.stage
    )
    return [model_inputs.of_build(one) for one in found]


def _script_environment(model: Model, progress: Progress) -> Environment:
    """The environment that a script runs in, created unless it exists."""
    from isobench import environments

    spec = environments.choose(environments.for_script(model.path, progress=progress.stage), note=progress.note)
    environment = environments.create(spec, progress=progress.stage)
    environments.check(environment)
    return environment


__all__ = [
    "Model",
    "Plan",
    "Retry",
    "RuntimeChoice",
    "Settings",
    "benchmark",
    "benchmark_all",
    "discover",
    "inputs",
    "measure",
    "plan",
    "resume",
    "sequence",
    "sweep",
]
