"""One Result in full, for `isobench show`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isobench.analysis.correctness import TensorCorrectness
from isobench.escapes import printable
from isobench.reports import inputs
from isobench.reports.format import aligned, milliseconds, pairs, percent
from isobench.reports.table import run_table
from isobench.results import EnvironmentRecord, Measured, Result, Run


def details(result: Result, folder: Path) -> str:
    """The Result's table, and below it everything else that is known; `folder` holds the Result."""
    model, outcome = result.model, result.outcome
    facts: list[tuple[str, str]] = [
        ("id", result.id),
        ("measured", f"{result.started_at} to {result.ended_at} by isobench {result.isobench}"),
        ("model", f"{model.path} {' '.join(model.script_args)}".rstrip()),
        ("environment variables", " ".join(f"{name}={value}" for name, value in model.env.items())),
        ("", _commit(result)),
        ("class", model.class_name),
        *_inputs(result),
        ("onnx", f"opset {model.onnx_opset}, sha256 {model.onnx_sha256[:16]}" if model.onnx_sha256 else ""),
        ("steps", ", ".join(map(str, result.steps))),
        ("expected from", model.reference),
        ("runtime", f"{result.runtime.name} {result.runtime.version} {pairs(result.runtime.arguments)}".rstrip()),
        ("machine", _machine(result)),
        ("batch job", _batch(result)),
    ]
    if result.environment:
        facts += _environment(result.environment)
    if isinstance(outcome, Measured):
        facts += _measurement(outcome)
    facts.append(("files", str(folder)))
    return printable("\n".join([run_table([result]), "", *aligned(facts)]))


def _inputs(result: Result) -> list[tuple[str, str]]:
    """A line for each input; one for all in older results, which don't say where the values come from."""
    values = [inputs.line(one) for one in result.model.input_values] or [", ".join(map(str, result.model.inputs))]
    return [("" if place else "inputs", text) for place, text in enumerate(values)]


def _sets(outcome: Measured) -> list[tuple[str, str]]:
    """A line for each set of inputs, where there are several."""
    found = outcome.input_sets.sets if outcome.input_sets else ()
    texts = []
    for one in found:
        within = f"{milliseconds(one.within.low)} to {milliseconds(one.within.high)}"
        texts.append(f"{one.name}: median {milliseconds(one.median_s)} ({within})")
    return [("" if place else "sets of inputs", text) for place, text in enumerate(texts)]


def _environment(environment: EnvironmentRecord) -> list[tuple[str, str]]:
    lock = f"{environment.lock_file}, sha256 {environment.lock_sha256[:16]}"
    conda_lock = f"sha256 {environment.conda_lock_sha256[:16]}" if environment.conda_lock_sha256 else ""
    return [
        ("environment", f"{environment.name}, {environment.provider}, Python {environment.python}"),
        ("lock", lock if environment.from_lock else "none: the interpreter was adopted as it was found"),
        ("conda lock", conda_lock),
    ]


def _measurement(outcome: Measured) -> list[tuple[str, str]]:
    latency, compared, first = outcome.latency, outcome.correctness, outcome.runs[0]
    spread = [
        f"{name} {milliseconds(getattr(latency, f'{name}_s'))}"
        for name in ("min", "p50", "p90", "p95", "p99", "max", "stdev")
    ]
    within = [
        f"{name.removesuffix('_s')} {milliseconds(interval.low)} to {milliseconds(interval.high)}"
        for name, interval in outcome.intervals.items()
    ]
    cold = first.cold_start
    start = [
        f"{name} {value:.3g} s"
        for name, value in (
            ("start", cold.start_s),
            ("import", cold.import_s),
            ("load", cold.load_s),
            ("compile", cold.compile_s),
            ("first inference", cold.first_inference_s),
        )
        if value is not None
    ]
    facts = [
        ("latency (ms)", ", ".join(spread)),
        ("95 % intervals", ", ".join(within)),
        ("noise floor", f"{percent(outcome.noise_floor)} between identical runs ({outcome.floor_source})"),
        ("medians of runs", ", ".join(milliseconds(run.median_s) for run in outcome.runs) if outcome.runs[1:] else ""),
        ("cold start", ", ".join(start)),
        ("warm-up", _warmup(first)),
        ("timing", _timing(first)),
        ("timed", str(outcome.facts.get("timed", ""))),
        *_unbound(outcome.facts.get("unbound_outputs")),
        ("threads", ", ".join(f"{name} {value}" for name, value in first.threads.items())),
        ("noise", _noise(outcome)),
        ("gpu", _gpu(outcome)),
        *_sets(outcome),
    ]
    if compared.worst_absolute is not None and compared.worst_relative is not None:
        error = f"worst absolute {compared.worst_absolute:.3g}, relative {compared.worst_relative:.3g}"
        facts.append(("error", error + (f", cosine {compared.cosine:.9f}" if compared.cosine is not None else "")))
    facts += [("output" if not number else "", _output(tensor)) for number, tensor in enumerate(compared.tensors)]
    facts += [(name, str(value)) for name, value in outcome.stats.items()]
    return facts


def _output(tensor: TensorCorrectness) -> str:
    """The outcome of one output, with the tolerance that was used and where it comes from."""
    parts = [f"{tensor.name}: {tensor.outcome or ('correct' if tensor.ok else 'wrong')}"]
    if tensor.worst_relative is not None:
        parts.append(f"differs by {tensor.worst_relative:.2g}")
    if tensor.tolerance:
        parts.append(f"tolerance {tensor.tolerance:.2g}")
    if tensor.step:
        parts.append(f"or one step of {tensor.step:.3g}")
    if tensor.amplification is not None:
        parts.append(f"rounding in {tensor.arithmetic} is amplified {tensor.amplification:.3g} times")
    return ", ".join(parts)


def _warmup(run: Run) -> str:
    warmup = run.warmup
    if warmup is None:
        return ""
    how = {None: "as requested", True: "settled", False: "not settled"}[warmup.settled]
    # At most eight points of the curve: most of it happens at the beginning.
    points = ", ".join(f"{milliseconds(median_s)} after {done:g}" for done, median_s in warmup.curve[:8])
    return f"{warmup.iterations} iterations in {warmup.wall_s:.2g} s, {how}: {points}"


def _timing(run: Run) -> str:
    if run.timer_s is None:
        return ""
    sample = f"{run.group} iterations" if run.group > 1 else "one iteration"
    return f"{sample} per sample; the clock costs {run.timer_s * 1e9:.0f} ns per sample"


def _unbound(reasons: Any) -> list[tuple[str, str]]:
    """The outputs for which the runtime allocates memory in each run, and why; a plugin's facts may be anything."""
    return [("unbound", f"{name}: {why}") for name, why in reasons.items()] if isinstance(reasons, dict) else []


def _noise(outcome: Measured) -> str:
    blocks = [block for run in outcome.runs for block in run.blocks]
    wall_s = sum(block.wall_s for block in blocks)
    if not wall_s:
        return ""
    others = sum(block.cpu_others_s for block in blocks) / wall_s
    steal = sum(block.steal_s for block in blocks) / wall_s
    faults = sum(block.minor_faults for block in blocks) / outcome.latency_all.iterations
    return (
        f"{len(blocks)} blocks in {wall_s:.2f} s, {outcome.clean_share:.0%} clean; others used {others:.2f} cores; "
        f"stolen {steal:.1%}; {faults:.1f} page faults per iteration"
    )


def _gpu(outcome: Measured) -> str:
    gpu, facts = outcome.gpu, outcome.facts.get("gpu")
    if gpu is None:
        return ""
    facts = facts if isinstance(facts, dict) else {}
    parts = [
        f"driver {facts['driver']}" if facts.get("driver") else f"not monitored: {facts.get('unwatched')}",
        f"{gpu.clock_mhz_min:.0f} to {gpu.clock_mhz_max:.0f} MHz" if gpu.clock_mhz_min and gpu.clock_mhz_max else "",
        f"{gpu.power_w:.0f} W" if gpu.power_w is not None else "",
        f"at most {gpu.temperature_c_max:.0f} \u00b0C" if gpu.temperature_c_max is not None else "",
        f"queueing an inference takes {gpu.enqueue_s * 1e6:.3g} \u00b5s",
    ]
    return ", ".join(filter(None, parts))


def _commit(result: Result) -> str:
    git = result.model.git
    if git is None or not git.commit:
        return ""
    return f"commit {git.commit[:12]}" + (" with changes" if git.dirty else "")


def _batch(result: Result) -> str:
    job = result.provenance.batch
    if job is None:
        return ""
    name = f"{job.array_job_id}_{job.array_task}" if job.array_job_id else job.job_id
    whole = {True: ", the whole node", False: ", a part of the node", None: ""}[job.exclusive]
    return f"{job.system} {name} on {job.node or 'an unknown node'}, partition {job.partition or 'unknown'}{whole}"


def _machine(result: Result) -> str:
    host = result.provenance.host
    return f"{host.hostname}: {host.cpu.model or 'unknown CPU'}, {host.kernel.release}" if host else ""
