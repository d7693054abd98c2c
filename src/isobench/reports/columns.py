"""Every column of the tables and of the CSV, declared once: what it is, how to get it and how to print it.

A report is a tuple of columns in their order: `RUN_TABLE`, `LISTING`, `CSV`. A new column is one declaration here and
its name in the reports that show it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isobench.reports.column import Column, Line
from isobench.reports.format import milliseconds, pairs, percent, rate
from isobench.results import EnvironmentRecord, Failed, Measured, Result
from isobench.results.row import Row

BASELINE = "torch-eager"


def _brief(about: str, get: Callable[[Row], Any], **more: Any) -> Column:
    """A column for which a Result in brief is enough, so that lists can show it; "" is an unknown value."""

    def of(line: Line) -> Any:
        value = get(line.brief)
        return None if value == "" else value

    return Column(about=about, get=of, **more)


def _result(about: str, get: Callable[[Result], Any], **more: Any) -> Column:
    return Column(about=about, get=lambda line: get(line.result) if line.result else None, **more)


def _measured(about: str, get: Callable[[Measured], Any], **more: Any) -> Column:
    """A column that failed Results leave empty."""

    def of(line: Line) -> Any:
        outcome = line.result.outcome if line.result else None
        return get(outcome) if isinstance(outcome, Measured) else None

    return Column(about=about, get=of, **more)


IN_MILLISECONDS: dict[str, Any] = {"unit": "ms", "table": milliseconds, "csv": lambda value: f"{value * 1000:.9g}"}
"""How a column of seconds is printed."""


def _latency(about: str, get_s: Callable[[Measured], float | None], **more: Any) -> Column:
    """Seconds, printed in milliseconds."""
    return _measured(about, get_s, **IN_MILLISECONDS, **more)


def _failed(about: str, get: Callable[[Failed], Any], **more: Any) -> Column:
    """A column that only failed Results fill."""

    def of(line: Line) -> Any:
        outcome = line.result.outcome if line.result else None
        return get(outcome) if isinstance(outcome, Failed) else None

    return Column(about=about, get=of, **more)


def _environment(about: str, get: Callable[[EnvironmentRecord], Any], **more: Any) -> Column:
    def of(line: Line) -> Any:
        environment = line.result.environment if line.result else None
        return get(environment) if environment else None

    return Column(about=about, get=of, **more)


def _speed_up(line: Line) -> float | None:
    median_s = line.brief.median_s
    return None if line.baseline_s is None or median_s is None else line.baseline_s / median_s


def _iterations(outcome: Measured) -> str:
    """All of them, or how many of them the figures are of."""
    used, every = outcome.latency.iterations, outcome.latency_all.iterations
    return f"{used:,}" if used == every else f"{used:,} of {every:,}"


def _threads(result: Result) -> int:
    outcome, settings = result.outcome, result.settings
    return outcome.runs[0].threads_asked(settings) if isinstance(outcome, Measured) else settings.threads


def _labels(result: Result) -> str:
    return pairs({name: ",".join(values) for name, values in result.model.labels.items()})


# What both tables and the CSV show.
MODEL = _brief(
    "the label `name`, or the file's name; with the class where a script has several models",
    lambda row: row.model,
    name="model_name",
    heading="model",
    left=True,
)
RUNTIME = _brief(
    "the runtime as the user chose it: `ort` or `ort:spinning=false`",
    lambda row: row.label,
    name="runtime_label",
    heading="runtime",
    left=True,
)
DEVICE = _brief("`family[::part[::config]]`", lambda row: row.device, name="device_type", heading="device", left=True)
MEAN = _brief(
    "mean latency of the used blocks",
    lambda row: row.mean_s,
    name="mean_latency",
    heading="mean ms",
    **IN_MILLISECONDS,
)
MEDIAN = _brief(
    "median latency of the used blocks",
    lambda row: row.median_s,
    name="median_latency_ms",
    heading="median ms",
    **IN_MILLISECONDS,
)
P99 = _latency(
    "99th percentile of the latency of the used blocks",
    lambda outcome: outcome.latency.p99_s,
    name="p99_latency_ms",
    heading="p99 ms",
)
THROUGHPUT = _brief(
    "the inverse of the mean latency, whatever the batch size",
    lambda row: row.throughput_ips,
    name="throughput",
    heading="inf/s",
    unit="inferences per second",
    table=rate,
    csv=lambda value: f"{value:.9g}",
)
OUTPUTS = _brief(
    "`correct`, `wrong`, `random` (not compared), `unjudged` or `not-compared`",
    lambda row: row.outputs,
    name="outputs",
    heading="outputs",
    table=lambda outputs: "WRONG" if outputs == "wrong" else str(outputs),
    left=True,
)
RESULT_ID = _brief("the result's id: `isobench show ID`", lambda row: row.id, name="result_id", heading="id", left=True)

# What only tables show: there a Result that failed says so in the verdict's place.
HALF_WIDTH = _measured(
    "half of the median's 95 % interval, as a share of the median",
    lambda outcome: outcome.intervals["median_s"].relative(outcome.latency.median_s),
    heading="\u00b1",
    table=percent,
)
SPEED_UP = Column(
    heading=f"vs {BASELINE}",
    about=f"how many times as fast as {BASELINE}, by the medians",
    get=_speed_up,
    table=lambda value: f"{value:.2f}x",
)
ITERATIONS_USED = _measured(
    "the number of used iterations; and of all, where some were set aside", _iterations, heading="iterations"
)
VERDICT_OR_FAILURE = _brief(
    "`clean`, `noisy` or `invalid`; or that it failed, and the kind of failure; or `unreadable`",
    lambda row: row.verdict_or_failure,
    heading="verdict",
    left=True,
)

# What the CSV has of unreadable results, too.
STATUS = _brief(
    "`measured`, `failed`, or `unreadable`: a corrupted `result.json`, or one of another version",
    lambda row: row.status,
    name="status",
)
ENDING = _brief("how it ended: `ok`, or one of the other endings", lambda row: row.ending, name="ending")
ERROR = _brief("the kind of failure; of an unreadable result: `result`", lambda row: row.kind, name="error")
ERROR_MESSAGE = _brief("the error's message", lambda row: row.message, name="error_message")
FOLDER = Column(name="folder", about="the folder that holds the result", get=lambda line: line.folder)

RUN_TABLE = (
    RUNTIME,
    MEAN,
    MEDIAN,
    HALF_WIDTH,
    P99,
    THROUGHPUT,
    SPEED_UP,
    ITERATIONS_USED,
    OUTPUTS,
    VERDICT_OR_FAILURE,
)
"""`isobench run`: a table for each model, a row for each runtime."""

LISTING = (RESULT_ID, MODEL, RUNTIME, DEVICE, MEAN, THROUGHPUT, VERDICT_OR_FAILURE)
"""`isobench list`: a row for each Result, and nothing that a Result in brief doesn't have."""

CSV = (
    # A reader of TurnkeyML's reports finds its own columns first, by their names there.
    MODEL,
    _result("the label `author`", lambda result: ",".join(result.model.labels.get("author", ())), name="author"),
    _result("the class of the model", lambda result: result.model.class_name, name="class"),
    _result("the number of the model's parameters", lambda result: result.model.parameters, name="parameters"),
    _result("the model's hash, 8 hex digits", lambda result: result.model.hash, name="hash"),
    _result("the runtime's name", lambda result: result.runtime.name, name="runtime"),
    _result("the version of the runtime's package", lambda result: result.runtime.version, name="runtime_version"),
    DEVICE,
    _result("the device's name by its maker", lambda result: result.device.name, name="device"),
    MEAN,
    _measured("`ms`", lambda _: MEAN.unit, name="latency_units"),
    THROUGHPUT,
    _measured("`inferences per second`", lambda _: THROUGHPUT.unit, name="throughput_units"),
    _measured(
        "the number of iterations in the used blocks", lambda outcome: outcome.latency.iterations, name="iterations"
    ),
    STATUS,
    ENDING,
    _result("all labels, as in the script: `key::value,value key::value`", _labels, name="labels"),
    MEDIAN,
    _latency(
        "the lower end of the median's 95 % interval",
        lambda outcome: outcome.intervals["median_s"].low,
        name="median_low_ms",
    ),
    _latency(
        "the upper end of the median's 95 % interval",
        lambda outcome: outcome.intervals["median_s"].high,
        name="median_high_ms",
    ),
    P99,
    _latency("least latency of the used blocks", lambda outcome: outcome.latency.min_s, name="min_latency_ms"),
    _latency(
        "standard deviation of the latency in the used blocks",
        lambda outcome: outcome.latency.stdev_s,
        name="stdev_latency_ms",
    ),
    _latency(
        "on a GPU: the mean latency with the copies to it and back",
        lambda outcome: outcome.end_to_end.mean_s if outcome.end_to_end else None,
        name="end_to_end_mean_ms",
    ),
    _latency(
        "on a GPU: the median latency with the copies to it and back",
        lambda outcome: outcome.end_to_end.median_s if outcome.end_to_end else None,
        name="end_to_end_median_ms",
    ),
    _measured("`clean`, `noisy` or `invalid`", lambda outcome: outcome.verdict.status, name="verdict"),
    _measured(
        "the reasons for the verdict, in sentences",
        lambda outcome: "; ".join(outcome.verdict.reasons),
        name="verdict_reasons",
    ),
    OUTPUTS,
    ERROR,
    _failed("what the worker was doing when it failed", lambda one: one.phase, name="error_phase"),
    _failed("the exception's class, or a plugin's own word for the failure", lambda one: one.cause, name="error_cause"),
    ERROR_MESSAGE,
    _result("the tools that the model went through", lambda result: ", ".join(map(str, result.steps)), name="steps"),
    _result(
        "the runtime's arguments, defaults included: `name::value name::value`",
        lambda result: pairs(result.runtime.arguments),
        name="rt_args",
    ),
    RUNTIME,
    _result("the script's arguments", lambda result: " ".join(result.model.script_args), name="script_args"),
    _result("the requested threads", _threads, name="threads"),
    _measured("the number of runs (worker processes)", lambda outcome: len(outcome.runs), name="processes"),
    _environment("the environment's name", lambda one: one.name, name="environment"),
    _environment("the provider that installed the environment", lambda one: one.provider, name="provider"),
    _environment("the hash that identifies the environment", lambda one: one.identity, name="environment_identity"),
    _environment("the hash of the environment's lock", lambda one: one.lock_sha256, name="lock_sha256"),
    _result(
        "the hash of the ONNX file with its external data", lambda result: result.model.onnx_sha256, name="onnx_sha256"
    ),
    _result("the script or the `.onnx` file", lambda result: result.model.path, name="model_path"),
    _result("when the measurement started, in UTC", lambda result: result.started_at, name="started_at"),
    _result("the version of isobench that measured", lambda result: result.isobench, name="isobench"),
    _result(
        "equal for results of the same model, measured in the same way", lambda result: result.case_key, name="case_key"
    ),
    RESULT_ID,
    FOLDER,
)
"""`isobench report --csv`: a row for each Result."""


def stat(name: str) -> Column:
    """The CSV's column of a figure that a runtime saved itself."""
    return _measured(
        "a figure that the runtime saved itself", lambda outcome: outcome.stats.get(name), name=f"stat.{name}"
    )
