"""Row: what a list of Results needs to know about one of them, read from its file without decoding all of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import field, fields
from datetime import datetime
from operator import attrgetter
from typing import Any

from isobench import codec
from isobench.analysis.correctness import Outcome, outcome_of_all
from isobench.analysis.noise import VERDICTS
from isobench.errors import ResultError
from isobench.failures import Ending
from isobench.planning.models import Step
from isobench.record import record
from isobench.results.records import SCHEMA, Measured, Result, ending_of
from isobench.results.upgrades import UPGRADES, upgrade
from isobench.workers import protocol

VERSION = 1
"""Raised whenever a member gets another meaning, so that indexes are made again."""
UNREADABLE = "unreadable"
UNFIT = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What `read` and `check` raise."""
OUTPUTS = set(Outcome)
ENDING_WORDS = set(Ending)


@record(frozen=True, slots=True, kw_only=True)
class Row:
    """One Result in brief. `name` is its folder's name, equal to `id` unless somebody renamed the folder.

    `status` is "measured", "failed" or "unreadable"; `kind` and `message` say why it isn't measured. `verdict`,
    `outputs` and the figures are None unless it is. `runtime` is the runtime's name, `label` what the user chose. Texts
    are "" where they are unknown; `attempt` and `repeat` are 0 outside of a sweep. `stats` are the names of the figures
    that the runtime saved itself.
    """

    name: str
    id: str
    status: str
    started_at: str = ""
    duration_s: float | None = None
    kind: str | None = None
    message: str = ""
    verdict: str | None = None
    outputs: str | None = None
    mean_s: float | None = None
    median_s: float | None = None
    throughput_ips: float | None = None
    model: str = ""
    model_path: str = ""
    model_hash: str = ""
    altered: str = ""
    runtime: str = ""
    label: str = ""
    device: str = ""
    case_key: str = ""
    sweep: str = ""
    task: str = ""
    attempt: int = 0
    repeat: int = 0
    hostname: str = ""
    cpu: str = ""
    script_args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    axes: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    stats: tuple[str, ...] = ()

    @property
    def verdict_or_failure(self) -> str:
        """`clean`, `noisy` or `invalid`; or that it failed, and how; or `unreadable`."""
        return self.verdict or (f"failed: {self.kind}" if self.status == "failed" else self.status)

    @property
    def ending(self) -> Ending:
        """How it ended, in one word for programs; of an unreadable Result: `result`."""
        if self.status != "measured":
            return Ending(self.kind or Ending.RESULT)
        return ending_of(self.outputs or "")

    @property
    def match(self) -> tuple[str, ...]:
        """Equal for Results of the same model, runtime and device, which a comparison of folders compares."""
        env = (f"{name}={value}" for name, value in self.env.items())
        return (self.model, self.model_hash, self.altered, self.label, self.device, *self.script_args, *env)


NAMES = tuple(entry.name for entry in fields(Row))


def of(result: Result, name: str = "") -> Row:
    """The Row of a Result; `name` is that of its folder."""
    outcome, sweep, host = result.outcome, result.sweep, result.provenance.host
    figures: dict[str, Any]
    if isinstance(outcome, Measured):
        figures = {
            "verdict": outcome.verdict.status,
            "outputs": str(outcome.correctness.outcome),
            "mean_s": outcome.latency.mean_s,
            "median_s": outcome.latency.median_s,
            "throughput_ips": outcome.latency.throughput_ips,
            "stats": tuple(outcome.stats),
        }
    else:
        figures = {"kind": str(outcome.kind), "message": outcome.message}
    if sweep:
        figures |= {name: getattr(sweep, name) for name in ("sweep", "task", "attempt", "repeat", "axes", "labels")}
    return Row(
        name=name or result.id,
        id=result.id,
        status=outcome.status,
        started_at=result.started_at,
        duration_s=_duration_s(result.started_at, result.ended_at),
        model=result.model.name,
        model_path=result.model.path,
        model_hash=result.model.hash,
        altered=result.altered,
        runtime=result.runtime.name,
        label=result.runtime.label,
        device=result.device.device,
        case_key=result.case_key,
        hostname=host.hostname if host else "",
        cpu=(host.cpu.model or "") if host else "",
        script_args=result.model.script_args,
        env=result.model.env,
        **figures,
    )


def unreadable(name: str, error: ResultError) -> Row:
    """The Row of a Result that can't be read. When it started, its folder's name says."""
    try:
        started_at = datetime.strptime(f"{name[:15]}+0000", "%Y%m%dT%H%M%S%z").isoformat(timespec="milliseconds")
    except ValueError:
        started_at = ""
    return Row(
        name=name, id=name, status=UNREADABLE, started_at=started_at, kind=str(error.kind), message=error.message
    )


def read(raw: bytes, name: str) -> Row:
    """The Row of a `result.json`, with the same values that `of` gives for the decoded Result.

    Only what a Row needs is parsed and checked: 0.1 ms instead of 2.

    Raises:
        UNFIT: it isn't as the schema says; decode it to learn why.
    """
    return _picked(_thin(raw.decode()), name)


def _picked(value: Mapping[str, Any], name: str) -> Row:
    value = _current(value)
    outcome, model, runtime, host = value["outcome"], value["model"], value["runtime"], value["provenance"].get("host")
    figures: dict[str, Any]
    if outcome["status"] == "measured":
        figures = _figures(outcome)
    elif outcome["status"] == "failed":
        figures = {"kind": outcome["kind"], "message": outcome["message"]}
    else:
        raise ValueError(outcome["status"])
    sweep = value.get("sweep")
    if sweep:
        figures |= {
            "sweep": sweep["sweep"],
            "task": sweep["task"],
            "attempt": sweep.get("attempt", 1),
            "repeat": sweep.get("repeat", 1),
            "axes": codec.decode(_AXES, sweep.get("axes", {}), "axes"),
            "labels": sweep.get("labels", {}),
        }
    found = Row(
        name=name,
        id=value["id"],
        status=outcome["status"],
        started_at=value["started_at"],
        duration_s=_duration_s(value["started_at"], value["ended_at"]),
        model=model["name"],
        model_path=model["path"],
        model_hash=model.get("hash", ""),
        altered=_altered(value.get("steps", ())),
        runtime=runtime["name"],
        label=runtime["label"],
        device=value["device"]["device"],
        case_key=value.get("case_key", ""),
        hostname=host["hostname"] if host else "",
        cpu=(host["cpu"]["model"] or "") if host else "",
        script_args=tuple(_list(model["script_args"])),
        env=model.get("env", {}),
        **figures,
    )
    check(found)
    return found


def _current(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if value["schema"] == SCHEMA:
        return value
    if value["schema"] not in UPGRADES:
        raise ValueError(value["schema"])
    return upgrade(dict(value))


def _figures(outcome: Mapping[str, Any]) -> dict[str, Any]:
    latency, compared = outcome["latency"], outcome["correctness"]
    tensors = [(_list(tensor["shape"]), tensor.get("outcome")) for tensor in _list(compared["tensors"])]
    any_compared = compared["worst_absolute"] is not None
    if type(compared["ok"]) is not bool:
        raise TypeError("correctness.ok")
    return {
        "verdict": outcome["verdict"]["status"],
        "outputs": str(outcome_of_all(tensors, ok=compared["ok"], any_compared=any_compared)),
        "mean_s": _float(latency["mean_s"]),
        "median_s": _float(latency["median_s"]),
        "throughput_ips": _float(latency["throughput_ips"]),
        "stats": tuple(outcome["stats"].keys()),
    }


def _float(value: Any) -> Any:
    return float(value) if type(value) is int and abs(value) <= codec.LARGEST else value


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise TypeError(f"a {type(value).__name__} in place of a list")
    return value


def _altered(steps: Any) -> str:
    if not any(step.get("alters") for step in steps):
        return ""
    decoded: tuple[Step, ...] = codec.decode(tuple[Step, ...], steps, "steps")
    return ", ".join(str(step) for step in decoded if step.alters)


_AXES: Any = Mapping[str, Any]
_texts = attrgetter(*(entry.name for entry in fields(Row) if entry.type == "str"))
_figures_of = attrgetter("mean_s", "median_s", "throughput_ips")
_numbers = attrgetter("attempt", "repeat")


def check(row: Row) -> None:
    """Raises:
    UNFIT: a member isn't as `Result` allows, in the file or in the index.
    """
    fits = (
        _are(str, _texts(row))
        and _are(str, row.script_args)
        and _are(str, row.stats)
        and type(row.env) is type(row.labels) is type(row.axes) is dict
        and _are(str, row.env.values())
        and _are(str, row.labels.values())
        and _are(int, _numbers(row))
        and 0 <= min(_numbers(row)) <= max(_numbers(row)) <= codec.LARGEST
        and (row.duration_s is None or type(row.duration_s) is float)
    )
    if row.status == "measured":
        fits = fits and row.kind is None and row.verdict in VERDICTS and row.outputs in OUTPUTS
        fits = fits and _are(float, _figures_of(row)) and 0 < min(_figures_of(row)) <= max(_figures_of(row)) < math.inf
    else:
        fits = fits and row.status in {"failed", UNREADABLE} and row.kind in ENDING_WORDS
        fits = fits and not (row.verdict or row.outputs or any(_figures_of(row)))
    if not fits:
        raise ValueError(f"the row of {row.name}")


def _are(kind: type, values: Iterable[object]) -> bool:
    return {kind}.issuperset(map(type, values))


def _duration_s(started_at: str, ended_at: str) -> float:
    began, ended = datetime.fromisoformat(started_at), datetime.fromisoformat(ended_at)
    if began.tzinfo is None or ended.tzinfo is None:
        raise ValueError(f"{started_at} or {ended_at} has no zone")
    return (ended - began).total_seconds()


_PARTS: Mapping[str, Any] = {
    **dict.fromkeys(("id", "started_at", "ended_at"), True),
    "model": dict.fromkeys(("name", "path", "script_args", "hash", "env"), True),
    "runtime": dict.fromkeys(("name", "label"), True),
    "device": True,
    "outcome": dict.fromkeys(("kind", "message", "latency", "verdict", "correctness", "stats", "status"), True),
    "provenance": {"host": {"hostname": True, "cpu": {"model": True}}},
    **dict.fromkeys(("steps", "case_key", "sweep", "schema"), True),
}
"""What is parsed of a Result, in the file's order: True is a whole member, a mapping are its members."""


def _thin(text: str) -> Mapping[str, Any]:
    """The file's JSON without the members that no Row needs; all of it if it isn't written as isobench writes it.

    isobench writes each member on a line of its own, indented by its depth, and no JSON string contains a line break.
    So members can be found without parsing what is between them: most of a file is the list of packages in the worker's
    environment.
    """
    is_ours = text.startswith('{\n "') and text.endswith("\n}\n")
    value: Mapping[str, Any] = _parse(_only(text, 0, len(text) - 1, _PARTS, "\n") if is_ours else text)
    return value


_parse = json.JSONDecoder(parse_constant=protocol.refused).decode


def _only(text: str, start: int, end: int, parts: Mapping[str, Any], indent: str) -> str:
    """The object at text[start:end], with some of its members; what isn't an object as it is."""
    if not text.startswith("{\n", start):
        return text[start:end]
    indent += " "
    last = text.rfind("\n", start, end)
    found, at = [], start
    for name, part in parts.items():
        key = f'{indent}"{name}": '
        place = text.find(key, at, last)
        if place < 0:
            place = text.find(key, start, at)  # its place is another one, or it doesn't exist
        if place < 0:
            continue
        begin = place + len(key)
        at = text.find(f'{indent}"', begin, last)
        stop = last if at < 0 else at - 1  # a comma
        at = last if at < 0 else at
        found.append(f'"{name}":{text[begin:stop] if part is True else _only(text, begin, stop, part, indent)}')
    return f"{{{','.join(found)}}}"
