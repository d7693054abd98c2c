"""Results as CSV: one row a Result, so that two runtimes never share one.

`docs/result-schema.md` describes the columns.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isobench import results
from isobench.errors import ResultError
from isobench.planning.settings import Settings
from isobench.results import EnvironmentRecord, Failed, Measured, Result

COLUMNS = (
    "model_name",
    "author",
    "class",
    "parameters",
    "hash",
    "runtime",
    "runtime_version",
    "device_type",
    "device",
    "mean_latency",
    "latency_units",
    "throughput",
    "throughput_units",
    "iterations",
    "status",
    "labels",
    "median_latency_ms",
    "median_low_ms",
    "median_high_ms",
    "p99_latency_ms",
    "min_latency_ms",
    "stdev_latency_ms",
    "end_to_end_mean_ms",
    "end_to_end_median_ms",
    "verdict",
    "verdict_reasons",
    "outputs",
    "error",
    "error_message",
    "steps",
    "rt_args",
    "script_args",
    "threads",
    "processes",
    "environment",
    "provider",
    "environment_id",
    "lock_sha256",
    "onnx_sha256",
    "model_path",
    "started_at",
    "isobench",
    "result_id",
    "folder",
)
"""A reader of TurnkeyML's reports finds its own columns first, by their old names. What isn't known is left empty."""

STAT = "stat."
"""Before the name of each figure that a runtime saved by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A `result.json` that can't be read, and why: it gets a row, too."""

    folder: Path
    error: ResultError


def gather(places: Iterable[Path]) -> list[tuple[Result, Path] | Unreadable]:
    """What lies in folders of results (or is one result's own folder), each once, in the order of the folders.

    Raises:
        ResultError: one of the folders holds no result.
    """
    found: dict[Path, tuple[Result, Path] | Unreadable] = {}
    for place in places:
        files = [place / results.RESULT_FILE] if (place / results.RESULT_FILE).exists() else results.files(place)
        if not files:
            raise ResultError(f"{place} holds no results", hint="isobench run --output FOLDER puts them there")
        for file in files:
            folder = file.resolve().parent
            if folder in found:
                continue
            try:
                found[folder] = (results.load(str(file)), folder)
            except ResultError as error:
                found[folder] = Unreadable(folder=folder, error=error)
    return list(found.values())


def text(found: Sequence[tuple[Result, Path] | Unreadable]) -> str:
    """The table with its head. The runtimes' own figures are the last columns."""
    rows = [_unreadable(each) if isinstance(each, Unreadable) else _row(*each) for each in found]
    own = sorted({name for row in rows for name in row if name.startswith(STAT)})
    written = io.StringIO()
    writer = csv.DictWriter(written, [*COLUMNS, *own], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def _unreadable(one: Unreadable) -> dict[str, Any]:
    return {
        "status": "unreadable",
        "error": type(one.error).__name__,
        "error_message": one.error.message,
        "result_id": one.folder.name,
        "folder": one.folder,
    }


def _row(result: Result, folder: Path) -> dict[str, Any]:
    model, outcome = result.model, result.outcome
    return {
        "model_name": model.name,
        "author": ",".join(model.labels.get("author", ())),
        "class": model.class_name,
        "parameters": model.parameters,
        "hash": model.hash,
        "runtime": result.runtime.name,
        "runtime_version": result.runtime.version,
        "device_type": result.device.device,
        "device": result.device.name,
        "status": outcome.status,
        "labels": _pairs({name: ",".join(values) for name, values in model.labels.items()}),
        "steps": ", ".join(map(str, result.steps)),
        "rt_args": _pairs(result.runtime.arguments),
        "script_args": " ".join(model.script_args),
        "threads": result.settings.threads,
        "onnx_sha256": model.onnx_sha256,
        "model_path": model.path,
        "started_at": result.started_at,
        "isobench": result.isobench,
        "result_id": result.id,
        "folder": folder,
        **(_measured(outcome, result.settings) if isinstance(outcome, Measured) else _failed(outcome)),
        **(_environment(result.environment) if result.environment else {}),
    }


def _measured(outcome: Measured, settings: Settings) -> dict[str, Any]:
    latency, within = outcome.latency, outcome.intervals["median_s"]
    whole = outcome.end_to_end
    return {
        **({"end_to_end_mean_ms": _ms(whole.mean_s), "end_to_end_median_ms": _ms(whole.median_s)} if whole else {}),
        "mean_latency": _ms(latency.mean_s),
        "latency_units": "ms",
        "throughput": f"{latency.throughput_ips:.9g}",
        "throughput_units": "inferences per second",
        "iterations": latency.iterations,
        "median_latency_ms": _ms(latency.median_s),
        "median_low_ms": _ms(within.low),
        "median_high_ms": _ms(within.high),
        "p99_latency_ms": _ms(latency.p99_s),
        "min_latency_ms": _ms(latency.min_s),
        "stdev_latency_ms": _ms(latency.stdev_s),
        "verdict": outcome.verdict.status,
        "verdict_reasons": "; ".join(outcome.verdict.reasons),
        "outputs": "correct" if outcome.correctness.ok else "wrong",
        "processes": len(outcome.runs),
        "threads": outcome.runs[0].threads_asked(settings),
        **{STAT + name: value for name, value in outcome.stats.items()},
    }


def _failed(outcome: Failed) -> dict[str, Any]:
    return {"error": outcome.kind, "error_message": outcome.message}


def _environment(environment: EnvironmentRecord) -> dict[str, Any]:
    return {
        "environment": environment.name,
        "provider": environment.provider,
        "environment_id": environment.identity,
        "lock_sha256": environment.lock_sha256,
    }


def _pairs(values: Mapping[str, Any]) -> str:
    """In the notation of a script's labels and of --rt-args: key::value key::value."""
    return " ".join(f"{name}::{value}" for name, value in values.items())


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.9g}"
