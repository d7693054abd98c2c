"""Results as tables: the one at the end of a run, with its notes, and the list. `columns` declares the columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isobench.analysis.summary import Summary
from isobench.escapes import one_line, printable
from isobench.reports import columns
from isobench.reports.column import Column, Line
from isobench.reports.columns import BASELINE
from isobench.reports.format import count, figure, indented, milliseconds, threads
from isobench.reports.inputs import brief, sets
from isobench.results import Failed, Measured, Result
from isobench.results.row import Row


def run_table(results: Sequence[Result]) -> str:
    """One table for each model: latency in milliseconds, inferences per second, speed-up over torch-eager, verdict."""
    groups: dict[tuple[object, ...], list[Result]] = {}
    for result in results:
        model = result.model
        key = (model.name, model.hash, result.altered, model.script_args, tuple(model.env.items()))
        groups.setdefault(key, []).append(result)
    return printable("\n\n".join(_model_table(group) for group in groups.values()))


def listing(rows: Iterable[Row]) -> str:
    """A line for each Result, for `isobench list`."""
    return printable("\n".join(_table(columns.LISTING, (Line(brief=row) for row in rows))))


def _model_table(results: Sequence[Result]) -> str:
    baseline_s = _baseline_s(results)
    shown = [column for column in columns.RUN_TABLE if baseline_s is not None or column is not columns.SPEED_UP]
    rows = [Line.of(result, baseline_s=baseline_s) for result in results]
    notes = list(dict.fromkeys(note for result in results for note in result.model.notes))
    notes += [*_machines(results), *_neighbours(results)]
    notes += [note for result in results for note in _notes(result)]
    return "\n".join([_title(results), "", *_table(shown, rows), *([""] if notes else []), *notes])


def _baseline_s(results: Sequence[Result]) -> float | None:
    """The median on `BASELINE` in seconds, without arguments of its own if that was measured."""
    measured = [one for one in results if one.runtime.name == BASELINE and isinstance(one.outcome, Measured)]
    measured.sort(key=lambda result: result.runtime.label != BASELINE)
    return measured[0].latency.median_s if measured else None


def _title(results: Sequence[Result]) -> str:
    model = next((result.model for result in results if result.model.hash), results[0].model)
    device = next((result.device for result in results if result.device.name), results[0].device)
    title = one_line(model.name + (f"::{model.hash}" if model.hash else ""))
    if model.parameters is not None:
        title += f"  {count(model.parameters)} parameters"
    if model.signature:
        title += f"  {one_line(model.signature)}"
    if results[0].altered:
        title += f"\nafter {results[0].altered}"
    title += "".join(f"\n{text}" for text in [brief(model, results[0].settings.seed)] if text)
    where = f"{device.device}" + (f" ({device.name})" if device.name else "")
    return f"{title}\non {where}, {threads(results[0].settings.threads)}"


def _machines(results: Sequence[Result]) -> Iterable[str]:
    """That rows come from several machines, if they do."""
    measured: dict[str, list[str]] = {}
    for result in results:
        if isinstance(result.outcome, Measured) and result.provenance.machine:
            measured.setdefault(result.provenance.machine, []).append(result.runtime.label)
    if len(measured) > 1:
        where = "; ".join(f"{', '.join(dict.fromkeys(labels))} on {machine}" for machine, labels in measured.items())
        yield f"measured on several machines, which differ, too: {where}"


def _neighbours(results: Sequence[Result]) -> Iterable[str]:
    """The jobs of a batch system that ran beside a measurement."""
    for result in results:
        job = result.provenance.batch
        if job and job.others:
            yield f"{result.runtime.label}: other jobs were seen on {job.node} beside it: {', '.join(job.others)}"


def _notes(result: Result) -> Iterable[str]:
    """What a reader of the figures must know, below the table."""
    outcome, name = result.outcome, result.runtime.label
    if isinstance(outcome, Failed):
        yield f"{name}: {outcome.message}"
        if outcome.details:
            yield indented(outcome.details)
        if outcome.hint:
            yield f"  hint: {outcome.hint}"
        return
    seen = {**outcome.facts, **outcome.stats}
    own = [f"{key} {figure(seen[key])}" for key in result.runtime.status_stats if key in seen]
    if own:
        yield f"{name}: {', '.join(own)}"
    for reason in outcome.verdict.reasons:
        # What is said of the outputs is no reason to call the figures noisy.
        status = "" if reason in outcome.correctness.notes else f"{outcome.verdict.status}: "
        yield f"{name}: {status}{reason}"
    if outcome.input_sets:
        yield f"{name}: {sets(outcome.input_sets)}"
    requested = outcome.runs[0].threads_asked(result.settings)
    if requested != result.settings.threads:
        yield f"{name}: its arguments request {threads(requested)}, which overrides --threads"
    if outcome.end_to_end:
        yield f"{name}: end to end, with the copies to the GPU and back: {_brief(outcome.end_to_end)}{_energy(outcome)}"
    if outcome.set_aside_s:
        why = "others used the machine" + (" or its GPU was slowed" if outcome.gpu else "")
        yield f"{name}: {outcome.set_aside_s:.2g} s set aside, because {why}; with them: {_brief(outcome.latency_all)}"


def _brief(summary: Summary) -> str:
    mean, median, p99 = map(milliseconds, (summary.mean_s, summary.median_s, summary.p99_s))
    return f"mean {mean}, median {median}, p99 {p99} ms"


def _energy(outcome: Measured) -> str:
    if outcome.gpu is None or outcome.gpu.energy_per_inference_j is None:
        return ""
    return f"; {outcome.gpu.energy_per_inference_j:.3g} J per inference"


def _table(shown: Sequence[Column], rows: Iterable[Line]) -> list[str]:
    """A line for each row; a heading and a rule above."""
    cells = [[column.cell(row) for column in shown] for row in rows]
    return grid([column.heading for column in shown], cells, left=[column.left for column in shown])


def grid(headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[bool]) -> list[str]:
    """A line for each row, columns as wide as their widest cell; the headings and a rule above."""
    cells = [[*map(one_line, line)] for line in (headings, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            f"{cell:<{width}}" if to_the_left else f"{cell:>{width}}"
            for cell, width, to_the_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return lines
