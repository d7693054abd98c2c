"""Every column of the tables and of the CSV, declared once: what it is, how to get it and how to print it.

A report is a tuple of columns in their order: `RUN_TABLE`, `LISTING`, `CSV`. A new column is one declaration here and
its name in the reports that show it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isobench.reports.format import milliseconds, pairs, percent, rate
from isobench.results import EnvironmentRecord, Failed, Measured, Result

BASELINE = "torch-eager"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One Result, with what its columns are made of besides.

    `baseline_s` is the median latency on `BASELINE` in seconds, None where that is unknown; `folder` holds the Result.
    """

    result: Result
    baseline_s: float | None = None
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. `get` returns its value, None where it is unknown or doesn't apply.

    `name` is its name in the CSV, `heading` its heading in tables; either is "" where it has none. `about` is its line
    in the documentation, `unit` that of the printed value. `table` and `csv` print a value; `left` aligns it in tables.
    """

    about: str
    get: Callable[[Row], Any]
    name: str = ""
    heading: str = ""
    unit: str = ""
    table: Callable[[Any], str] = str
    csv: Callable[[Any], object] = lambda value: value
    left: bool = False

    def cell(self, row: Row) -> str:
        """The value as tables print it."""
        value = self.get(row)
        return "-" if value is None else self.table(value)

    def field(self, row: Row) -> object:
        """The value as the CSV holds it."""
        value = self.get(row)
        return "" if value is None else self.csv(value)


def _of_result(get: Callable[[Result], Any]) -> Callable[[Row], Any]:
    return lambda row: get(row.result)


def _of_measured(get: Callable[[Measured], Any]) -> Callable[[Row], Any]:
    return lambda row: get(row.result.outcome) if isinstance(row.result.outcome, Measured) else None


def _of_failed(get: Callable[[Failed], Any]) -> Callable[[Row], Any]:
    return lambda row: get(row.result.outcome) if isinstance(row.result.outcome, Failed) else None


def _of_environment(get: Callable[[EnvironmentRecord], Any]) -> Callable[[Row], Any]:
    return lambda row: get(row.result.environment) if row.result.environment else None


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.9g}"


def _speed_up(row: Row) -> float | None:
    outcome = row.result.outcome
    if row.baseline_s is None or isinstance(outcome, Failed):
        return None
    return row.baseline_s / outcome.latency.median_s


def _iterations(outcome: Measured) -> str:
    """All of them, or how many of them the figures are of."""
    used, every = outcome.latency.iterations, outcome.latency_all.iterations
    return f"{used:,}" if used == every else f"{used:,} of {every:,}"


def _threads(result: Result) -> int:
    outcome, settings = result.outcome, result.settings
    return outcome.runs[0].threads_asked(settings) if isinstance(outcome, Measured) else settings.threads


def _verdict(result: Result) -> str:
    outcome = result.outcome
    return outcome.verdict.status if isinstance(outcome, Measured) else f"failed: {outcome.kind}"


def _labels(result: Result) -> str:
    return pairs({name: ",".join(values) for name, values in result.model.labels.items()})


# What both tables and the CSV show.
MODEL = Column(
    name="model_name",
    heading="model",
    about="the label `name`, or the file's name; with the class where a script has several models",
    get=_of_result(lambda result: result.model.name),
    left=True,
)
RUNTIME = Column(
    name="runtime_label",
    heading="runtime",
    about="the runtime as the user chose it: `ort` or `ort:spinning=false`",
    get=_of_result(lambda result: result.runtime.label),
    left=True,
)
DEVICE = Column(
    name="device_type",
    heading="device",
    about="`family[::part[::config]]`",
    get=_of_result(lambda result: result.device.device),
    left=True,
)
MEAN = Column(
    name="mean_latency",
    heading="mean ms",
    unit="ms",
    about="mean latency of the used blocks",
    get=_of_measured(lambda outcome: outcome.latency.mean_s),
    table=milliseconds,
    csv=_milliseconds,
)
MEDIAN = Column(
    name="median_latency_ms",
    heading="median ms",
    unit="ms",
    about="median latency of the used blocks",
    get=_of_measured(lambda outcome: outcome.latency.median_s),
    table=milliseconds,
    csv=_milliseconds,
)
P99 = Column(
    name="p99_latency_ms",
    heading="p99 ms",
    unit="ms",
    about="99th percentile of the latency of the used blocks",
    get=_of_measured(lambda outcome: outcome.latency.p99_s),
    table=milliseconds,
    csv=_milliseconds,
)
THROUGHPUT = Column(
    name="throughput",
    heading="inf/s",
    unit="inferences per second",
    about="the inverse of the mean latency, whatever the batch size",
    get=_of_measured(lambda outcome: outcome.latency.throughput_ips),
    table=rate,
    csv=lambda value: f"{value:.9g}",
)
OUTPUTS = Column(
    name="outputs",
    heading="outputs",
    about="`correct` or `wrong`",
    get=_of_measured(lambda outcome: outcome.correctness.ok),
    table=lambda ok: "correct" if ok else "WRONG",
    csv=lambda ok: "correct" if ok else "wrong",
    left=True,
)
RESULT_ID = Column(
    name="result_id",
    heading="id",
    about="the result's id: `isobench show ID`",
    get=_of_result(lambda result: result.id),
    left=True,
)

# What only tables show: there a Result that failed says so in the verdict's place.
HALF_WIDTH = Column(
    heading="\u00b1",
    about="half of the median's 95 % interval, as a share of the median",
    get=_of_measured(lambda outcome: outcome.intervals["median_s"].relative(outcome.latency.median_s)),
    table=percent,
)
SPEED_UP = Column(
    heading=f"vs {BASELINE}",
    about=f"how many times as fast as {BASELINE}, by the medians",
    get=_speed_up,
    table=lambda value: f"{value:.2f}x",
)
ITERATIONS_USED = Column(
    heading="iterations",
    about="the number of used iterations; and of all, where some were set aside",
    get=_of_measured(_iterations),
)
VERDICT_OR_FAILURE = Column(
    heading="verdict",
    about="`clean`, `noisy` or `invalid`; or that it failed, and the kind of failure",
    get=_of_result(_verdict),
    left=True,
)

# Columns of the CSV that rows of unreadable results have, too.
STATUS = Column(
    name="status",
    about="`measured`, `failed`, or `unreadable`: a corrupted `result.json`, or one of another version",
    get=_of_result(lambda result: result.outcome.status),
)
ERROR = Column(
    name="error",
    about="the kind of failure; of an unreadable result: `result`",
    get=_of_failed(lambda outcome: outcome.kind),
)
ERROR_MESSAGE = Column(
    name="error_message",
    about="the error's message",
    get=_of_failed(lambda outcome: outcome.message),
)
FOLDER = Column(name="folder", about="the folder that holds the result", get=lambda row: row.folder)

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
"""`isobench list`: a row for each Result."""

CSV = (
    # A reader of TurnkeyML's reports finds its own columns first, by their names there.
    MODEL,
    Column(
        name="author",
        about="the label `author`",
        get=_of_result(lambda result: ",".join(result.model.labels.get("author", ()))),
    ),
    Column(name="class", about="the class of the model", get=_of_result(lambda result: result.model.class_name)),
    Column(
        name="parameters",
        about="the number of the model's parameters",
        get=_of_result(lambda result: result.model.parameters),
    ),
    Column(name="hash", about="the model's hash, 8 hex digits", get=_of_result(lambda result: result.model.hash)),
    Column(name="runtime", about="the runtime's name", get=_of_result(lambda result: result.runtime.name)),
    Column(
        name="runtime_version",
        about="the version of the runtime's package",
        get=_of_result(lambda result: result.runtime.version),
    ),
    DEVICE,
    Column(name="device", about="the device's name by its maker", get=_of_result(lambda result: result.device.name)),
    MEAN,
    Column(name="latency_units", about="`ms`", get=_of_measured(lambda _: MEAN.unit)),
    THROUGHPUT,
    Column(name="throughput_units", about="`inferences per second`", get=_of_measured(lambda _: THROUGHPUT.unit)),
    Column(
        name="iterations",
        about="the number of iterations in the used blocks",
        get=_of_measured(lambda outcome: outcome.latency.iterations),
    ),
    STATUS,
    Column(name="labels", about="all labels, as in the script: `key::value,value key::value`", get=_of_result(_labels)),
    MEDIAN,
    Column(
        name="median_low_ms",
        unit="ms",
        about="the lower end of the median's 95 % interval",
        get=_of_measured(lambda outcome: outcome.intervals["median_s"].low),
        csv=_milliseconds,
    ),
    Column(
        name="median_high_ms",
        unit="ms",
        about="the upper end of the median's 95 % interval",
        get=_of_measured(lambda outcome: outcome.intervals["median_s"].high),
        csv=_milliseconds,
    ),
    P99,
    Column(
        name="min_latency_ms",
        unit="ms",
        about="least latency of the used blocks",
        get=_of_measured(lambda outcome: outcome.latency.min_s),
        csv=_milliseconds,
    ),
    Column(
        name="stdev_latency_ms",
        unit="ms",
        about="standard deviation of the latency in the used blocks",
        get=_of_measured(lambda outcome: outcome.latency.stdev_s),
        csv=_milliseconds,
    ),
    Column(
        name="end_to_end_mean_ms",
        unit="ms",
        about="on a GPU: the mean latency with the copies to it and back",
        get=_of_measured(lambda outcome: outcome.end_to_end and outcome.end_to_end.mean_s),
        csv=_milliseconds,
    ),
    Column(
        name="end_to_end_median_ms",
        unit="ms",
        about="on a GPU: the median latency with the copies to it and back",
        get=_of_measured(lambda outcome: outcome.end_to_end and outcome.end_to_end.median_s),
        csv=_milliseconds,
    ),
    Column(
        name="verdict",
        about="`clean`, `noisy` or `invalid`",
        get=_of_measured(lambda outcome: outcome.verdict.status),
    ),
    Column(
        name="verdict_reasons",
        about="the reasons for the verdict, in sentences",
        get=_of_measured(lambda outcome: "; ".join(outcome.verdict.reasons)),
    ),
    OUTPUTS,
    ERROR,
    Column(name="error_phase", about="what the worker was doing when it failed", get=_of_failed(lambda one: one.phase)),
    Column(
        name="error_cause",
        about="the exception's class, or a plugin's own word for the failure",
        get=_of_failed(lambda one: one.cause),
    ),
    ERROR_MESSAGE,
    Column(
        name="steps",
        about="the tools that the model went through",
        get=_of_result(lambda result: ", ".join(map(str, result.steps))),
    ),
    Column(
        name="rt_args",
        about="the runtime's arguments, defaults included: `name::value name::value`",
        get=_of_result(lambda result: pairs(result.runtime.arguments)),
    ),
    RUNTIME,
    Column(
        name="script_args",
        about="the script's arguments",
        get=_of_result(lambda result: " ".join(result.model.script_args)),
    ),
    Column(name="threads", about="the requested threads", get=_of_result(_threads)),
    Column(
        name="processes",
        about="the number of runs (worker processes)",
        get=_of_measured(lambda outcome: len(outcome.runs)),
    ),
    Column(name="environment", about="the environment's name", get=_of_environment(lambda one: one.name)),
    Column(
        name="provider",
        about="the provider that installed the environment",
        get=_of_environment(lambda one: one.provider),
    ),
    Column(
        name="environment_identity",
        about="the hash that identifies the environment",
        get=_of_environment(lambda one: one.identity),
    ),
    Column(
        name="lock_sha256", about="the hash of the environment's lock", get=_of_environment(lambda one: one.lock_sha256)
    ),
    Column(
        name="onnx_sha256",
        about="the hash of the ONNX file with its external data",
        get=_of_result(lambda result: result.model.onnx_sha256),
    ),
    Column(name="model_path", about="the script or the `.onnx` file", get=_of_result(lambda result: result.model.path)),
    Column(
        name="started_at",
        about="when the measurement started, in UTC",
        get=_of_result(lambda result: result.started_at),
    ),
    Column(
        name="isobench", about="the version of isobench that measured", get=_of_result(lambda result: result.isobench)
    ),
    Column(
        name="case_key",
        about="equal for results of the same model, measured in the same way",
        get=_of_result(lambda result: result.case_key),
    ),
    RESULT_ID,
    FOLDER,
)
"""`isobench report --csv`: a row for each Result."""


def stat(name: str) -> Column:
    """The CSV's column of a figure that a runtime saved itself."""
    return Column(
        name=f"stat.{name}",
        about="a figure that the runtime saved itself",
        get=_of_measured(lambda outcome: outcome.stats.get(name)),
    )
