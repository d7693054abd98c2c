"""Results as people read them: the table at the end of a run, the list, and one Result in full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from isobench.analysis import Summary
from isobench.results import Failed, Measured, Result, Run

BASELINE = "torch-eager"


def run_table(results: Sequence[Result]) -> str:
    """One table a model: latency in milliseconds, inferences per second, speed-up over torch-eager, verdict."""
    groups: dict[tuple[str, str, str, tuple[str, ...]], list[Result]] = {}
    for result in results:
        model = result.model
        groups.setdefault((model.name, model.hash, result.altered, model.script_args), []).append(result)
    return "\n\n".join(_model_table(group) for group in groups.values())


def _model_table(results: Sequence[Result]) -> str:
    baseline = next(
        (result.latency.median_s for result in results if result.runtime.name == BASELINE and _measured(result)), None
    )
    head = ["runtime", "mean ms", "median ms", "\u00b1", "p99 ms", "inf/s", f"vs {BASELINE}", "iterations"]
    rows = [[*head, "outputs", "verdict"]]
    rows.extend(_row(result, baseline) for result in results)
    if baseline is None:
        for row in rows:
            del row[6]
    columns = len(rows[0])
    lines = [_title(results), "", *_aligned(rows, left=(0, columns - 2, columns - 1))]
    notes = [note for result in results for note in _notes(result)]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def _title(results: Sequence[Result]) -> str:
    model = next((result.model for result in results if result.model.hash), results[0].model)
    device = next((result.device for result in results if result.device.name), results[0].device)
    title = model.name + (f"::{model.hash}" if model.hash else "")
    if model.parameters is not None:
        title += f"  {count(model.parameters)} parameters"
    if model.signature:
        title += f"  {model.signature}"
    if results[0].altered:
        title += f"\nafter {results[0].altered}"
    threads = results[0].settings.threads
    where = f"{device.device}" + (f" ({device.name})" if device.name else "")
    return f"{title}\non {where}, {threads} thread{'s' if threads > 1 else ''}"


def _row(result: Result, baseline_s: float | None) -> list[str]:
    name, outcome = result.runtime.name, result.outcome
    if isinstance(outcome, Failed):
        return [name, *["-"] * 8, f"failed: {outcome.kind}"]
    latency = outcome.latency
    return [
        name,
        milliseconds(latency.mean_s),
        milliseconds(latency.median_s),
        percent(outcome.intervals["median_s"].relative(latency.median_s)),
        milliseconds(latency.p99_s),
        rate(latency.throughput_ips),
        f"{baseline_s / latency.median_s:.2f}x" if baseline_s else "-",
        _iterations(outcome),
        "correct" if outcome.correctness.ok else "WRONG",
        outcome.verdict.status,
    ]


def _notes(result: Result) -> Iterable[str]:
    outcome, name = result.outcome, result.runtime.name
    if isinstance(outcome, Failed):
        yield f"{name}: {outcome.message}"
        if outcome.details:
            yield indented(outcome.details)
        if outcome.hint:
            yield f"  hint: {outcome.hint}"
        return
    seen = {**outcome.facts, **outcome.stats}
    own = [f"{key} {_figure(seen[key])}" for key in result.runtime.status_stats if key in seen]
    if own:
        yield f"{name}: {', '.join(own)}"
    for reason in outcome.verdict.reasons:
        yield f"{name}: {outcome.verdict.status}: {reason}"
    asked = outcome.runs[0].threads_asked(result.settings)
    if asked != result.settings.threads:
        yield f"{name}: its arguments ask for {asked} thread{'s' if asked > 1 else ''}, in place of the above"
    if outcome.end_to_end:
        yield f"{name}: end to end, with the copies to the GPU and back: {_brief(outcome.end_to_end)}{_energy(outcome)}"
    if outcome.set_aside_s:
        everything = outcome.latency_all
        why = "others used the machine" + (" or its GPU was slowed" if outcome.gpu else "")
        yield (f"{name}: {outcome.set_aside_s:.2g} s set aside, in which {why}; with them: {_brief(everything)}")


def _brief(summary: Summary) -> str:
    mean, median, p99 = map(milliseconds, (summary.mean_s, summary.median_s, summary.p99_s))
    return f"mean {mean}, median {median}, p99 {p99} ms"


def _energy(outcome: Measured) -> str:
    if outcome.gpu is None or outcome.gpu.energy_per_inference_j is None:
        return ""
    return f"; {outcome.gpu.energy_per_inference_j:.3g} J an inference"


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _iterations(outcome: Measured) -> str:
    """All of them, or how many of them the figures are of."""
    used, every = outcome.latency.iterations, outcome.latency_all.iterations
    return f"{used:,}" if used == every else f"{used:,} of {every:,}"


def listing(results: Iterable[Result]) -> str:
    """A line a Result, for `isobench list`."""
    rows = [["id", "model", "runtime", "device", "mean ms", "inf/s", "verdict"]]
    for result in results:
        outcome = result.outcome
        if isinstance(outcome, Measured):
            figures = [milliseconds(outcome.latency.mean_s), rate(outcome.latency.throughput_ips)]
            verdict = outcome.verdict.status
        else:
            figures, verdict = ["-", "-"], f"failed: {outcome.kind}"
        rows.append([result.id, result.model.name, result.runtime.name, result.device.device, *figures, verdict])
    return "\n".join(_aligned(rows, left=(0, 1, 2, 3, 6)))


def details(result: Result, folder: Path) -> str:
    """One Result in full, for `isobench show`."""
    model, outcome = result.model, result.outcome
    lines = [run_table([result]), ""]
    facts: list[tuple[str, str]] = [
        ("id", result.id),
        ("measured", f"{result.started_at} to {result.ended_at} by isobench {result.isobench}"),
        ("model", f"{model.path} {' '.join(model.script_args)}".rstrip()),
        ("", _commit(result)),
        ("class", model.class_name),
        ("inputs", ", ".join(map(str, model.inputs))),
        ("onnx", f"opset {model.onnx_opset}, sha256 {model.onnx_sha256[:16]}" if model.onnx_sha256 else ""),
        ("steps", ", ".join(map(str, result.steps))),
        ("expected from", model.reference),
        ("runtime", f"{result.runtime.name} {result.runtime.version} {_arguments(result)}".rstrip()),
        ("machine", _machine(result)),
    ]
    if result.environment:
        environment = result.environment
        facts.append(("environment", f"{environment.name}, {environment.provider}, Python {environment.python}"))
        if environment.from_lock:
            facts.append(("lock", f"{environment.lock_file}, sha256 {environment.lock_sha256[:16]}"))
        else:
            facts.append(("lock", "none: not built from a lock, but adopted as it was found"))
        if environment.conda_lock_sha256:
            facts.append(("conda lock", f"sha256 {environment.conda_lock_sha256[:16]}"))
    if isinstance(outcome, Measured):
        facts += _measurement(outcome)
    facts.append(("files", str(folder)))
    width = max(len(name) for name, _ in facts)
    lines += [f"{name:{width}}  {text}" for name, text in facts if text]
    return "\n".join(lines)


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
        ("threads", ", ".join(f"{name} {value}" for name, value in first.threads.items())),
        ("noise", _noise(outcome)),
        ("gpu", _gpu(outcome)),
    ]
    if compared.worst_absolute is not None and compared.worst_relative is not None:
        error = f"worst absolute {compared.worst_absolute:.3g}, relative {compared.worst_relative:.3g}"
        facts.append(("error", error + (f", cosine {compared.cosine:.9f}" if compared.cosine is not None else "")))
    facts += [(name, str(value)) for name, value in outcome.stats.items()]
    return facts


def _warmup(run: Run) -> str:
    warmup = run.warmup
    if warmup is None:
        return ""
    how = {None: "as asked for", True: "settled", False: "not settled"}[warmup.settled]
    # At most eight points of the curve: its beginning tells the most.
    points = ", ".join(f"{milliseconds(median_s)} after {done:g}" for done, median_s in warmup.curve[:8])
    return f"{warmup.iterations} iterations in {warmup.wall_s:.2g} s, {how}: {points}"


def _timing(run: Run) -> str:
    if run.timer_s is None:
        return ""
    together = f"{run.group} iterations a sample" if run.group > 1 else "each iteration by itself"
    return f"{together}; the clock costs {run.timer_s * 1e9:.0f} ns a sample"


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
        f"stolen {steal:.1%}; {faults:.1f} page faults an iteration"
    )


def _gpu(outcome: Measured) -> str:
    gpu, told = outcome.gpu, outcome.facts.get("gpu", {})
    if gpu is None:
        return ""
    parts = [
        f"driver {told['driver']}" if told.get("driver") else f"not watched: {told.get('unwatched')}",
        f"{gpu.clock_mhz_min:.0f} to {gpu.clock_mhz_max:.0f} MHz" if gpu.clock_mhz_min and gpu.clock_mhz_max else "",
        f"{gpu.power_w:.0f} W" if gpu.power_w is not None else "",
        f"at most {gpu.temperature_c_max:.0f} \u00b0C" if gpu.temperature_c_max is not None else "",
        f"queueing an inference takes {gpu.enqueue_s * 1e6:.3g} \u00b5s",
    ]
    return ", ".join(filter(None, parts))


def _commit(result: Result) -> str:
    git = result.model.git
    if not git or not git.get("commit"):
        return ""
    return f"commit {git['commit'][:12]}" + (" with changes" if git.get("dirty") else "")


def _arguments(result: Result) -> str:
    return " ".join(f"{name}::{value}" for name, value in result.runtime.arguments.items())


def _machine(result: Result) -> str:
    host = result.provenance.get("host", {})
    cpu = host.get("cpu", {})
    kernel = host.get("kernel", {})
    return f"{host.get('hostname', '')}: {cpu.get('model', '')}, {kernel.get('release', '')}" if host else ""


def milliseconds(seconds: float) -> str:
    """Four digits that count: 0.003217, 3.217, 321.7."""
    value = seconds * 1000
    decimals = 1 if value >= 100 else 2 if value >= 10 else 3 if value >= 1 else 4 if value >= 0.1 else 5
    return f"{value:.{decimals}f}"


def percent(share: float) -> str:
    """A share with two digits that count: 0.35%, 3.5%, 35%."""
    value = share * 100
    return f"{value:.2f}%" if value < 1 else f"{value:.1f}%" if value < 10 else f"{value:.0f}%"


def rate(per_second: float) -> str:
    """Inferences per second: 12,345 or 41.3 or 0.250."""
    if per_second >= 1000:
        return f"{per_second:,.0f}"
    return f"{per_second:.1f}" if per_second >= 10 else f"{per_second:#.3g}"


def count(number: int) -> str:
    for size, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f} {name}"
    return str(number)


def indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _measured(result: Result) -> bool:
    return isinstance(result.outcome, Measured)


def _aligned(rows: Sequence[Sequence[str]], *, left: Sequence[int]) -> list[str]:
    """Columns as wide as their widest cell, those in `left` flush left, the others right; a line under the head."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            f"{cell:<{width}}" if index in left else f"{cell:>{width}}"
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return lines
