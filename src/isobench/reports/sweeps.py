"""A sweep that runs or ran: a line for each case that ends, the summary, the status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from isobench.escapes import printable
from isobench.planning import suite_values
from isobench.reports.column import Column, Line
from isobench.reports.columns import (
    HALF_WIDTH,
    MEAN,
    MEDIAN,
    MODEL,
    OUTPUTS,
    RUNTIME,
    THROUGHPUT,
    VERDICT_OR_FAILURE,
)
from isobench.reports.format import about, aligned, duration, milliseconds, plural
from isobench.reports.table import grid
from isobench.results import Result
from isobench.results.row import Row

if TYPE_CHECKING:
    from isobench.sweeps.folder import SweepFolder
    from isobench.sweeps.status import Status
    from isobench.sweeps.tally import Tally

MESSAGE_CHARACTERS = 160
LEAST_S = 0.05
"""A shorter time isn't shown: nothing ran."""
MOST_FAILURES = 12
MOST_RUNNING = 8


def label(row: Row) -> str:
    """The case in words: its model and runtime, and its place in the matrix."""
    values = [f"{name}={suite_values.as_text(value)}" for name, value in row.axes.items()]
    values += [f"repeat {row.repeat}"] if row.repeat > 1 else []
    what = f"{row.model} on {row.label}"
    return f"{what} ({', '.join(values)})" if values else what


def ended(row: Row) -> str:
    """How a case ended: `1.234 ms, clean (2.1 s)`, or why it failed."""
    took = f" ({duration(row.duration_s)})" if row.duration_s and row.duration_s >= LEAST_S else ""
    if row.mean_s is None:
        return f"failed: {row.kind}: {first_line(row.message)}{took}"
    verdict = "WRONG OUTPUTS" if row.outputs == "wrong" else row.verdict
    return f"{milliseconds(row.mean_s)} ms, {verdict}{took}"


def left(tally: Tally) -> str:
    """`1 failed, 84 left, about 35 min`."""
    parts = [f"{tally.failed} failed"] if tally.failed else []
    parts += [f"{tally.left} left, about {about(tally.left_s)}"] if tally.left else ["none left"]
    return ", ".join(parts)


def first_line(message: str) -> str:
    """A message's first line, cut where it's too long for a list."""
    line = message.partition("\n")[0]
    return line if len(line) <= MESSAGE_CHARACTERS else f"{line[:MESSAGE_CHARACTERS].rstrip()}..."


def summary(status: Status, results: Sequence[Result]) -> str:
    """What became of the cases. `results` fill a table; without them, only the failures are listed."""
    blocks = [_counts(status)]
    if results:
        blocks.append("\n".join(_table(results)))
    blocks += ["\n".join(part) for part in (_failures(status), _machines(status)) if part]
    return printable("\n\n".join(blocks))


def status_text(folder: SweepFolder, status: Status) -> str:
    """`isobench sweep status`."""
    sweep = folder.sweep
    measured = ", ".join(f"{count} {_VERDICTS.get(name, name)}" for name, count in status.verdicts.items())
    left_s = f", about {about(status.estimate.seconds)}" if status.left else ""
    again = plural(len(status.attempts), "case")
    lines = aligned(
        [
            ("suite", sweep.suite),
            ("folder", str(folder.path)),
            ("executor", "" if sweep.executor == "local" else sweep.executor),
            ("measured", f"{len(status.measured)} of {status.total}" + (f": {measured}" if measured else "")),
            ("failed", f"{len(status.failed)}" if status.failed else ""),
            ("left", f"{status.left}{left_s}" + ("" if status.prepared else "; its models are not built yet")),
            ("not counted", f"{status.foreign} results of other machines" if status.foreign else ""),
            ("tried again", f"{again}, up to {max(status.attempts.values())} times" if status.attempts else ""),
            ("at work", status.holder),
            *_running(status),
        ]
    )
    failures = _failures(status)
    return printable(
        "\n".join([folder.path.name, *(f"  {line}" for line in lines), *([""] if failures else []), *failures])
    )


def _running(status: Status) -> list[tuple[str, str]]:
    lines = [
        ("now", f"{one.label}, {one.where}" + (f", since {_local_time(one.since)}" if one.since else ""))
        for one in status.running[:MOST_RUNNING]
    ]
    more = len(status.running) - MOST_RUNNING
    return [*lines, *([("now", f"and {more} more")] if more > 0 else [])]


def status_json(folder: SweepFolder, status: Status) -> dict[str, Any]:
    """The status as JSON values."""
    return {
        "schema": "isobench.sweep-status/1",
        "sweep": folder.path.name,
        "folder": str(folder.path),
        "results": str(folder.results),
        "suite": folder.sweep.suite,
        "executor": folder.sweep.executor,
        "prepared": status.prepared,
        "cases": status.total,
        "measured": len(status.measured),
        "verdicts": dict(status.verdicts),
        "failed": len(status.failed),
        "kinds": dict(status.kinds),
        "left": status.left,
        "unreadable": len(status.unreadable),
        "left_s": round(status.estimate.seconds, 1),
        "holder": status.holder,
        "running": [asdict(one) for one in status.running],
        "attempts": dict(status.attempts),
        "failures": [
            {"case": label(row), "result": row.id, "kind": row.kind, "message": row.message, "attempt": row.attempt}
            for row in status.failed
        ],
    }


def _counts(status: Status) -> str:
    parts = [f"{len(status.measured)} measured"]
    parts += [f"{len(status.failed)} failed"] if status.failed else []
    parts += [f"{status.left} not run"] if status.left else []
    odd = [f"{status.verdicts[one]} {_VERDICTS.get(one, one)}" for one in ("noisy", "wrong") if one in status.verdicts]
    return f"{plural(status.total, 'case')}: {', '.join(parts)}" + (f" ({', '.join(odd)})" if odd else "")


def _table(results: Sequence[Result]) -> list[str]:
    """A row for each Result, with a column for each axis of the matrix."""
    places = [one.sweep for one in results]
    axes = list(dict.fromkeys(name for place in places if place for name in place.axes))
    repeats = any(place and place.repeat > 1 for place in places)
    columns = [MODEL, RUNTIME, *map(_axis, axes), *([_REPEAT] if repeats else []), *_FIGURES]
    cells = [[column.cell(Line.of(one)) for column in columns] for one in results]
    return grid([column.heading for column in columns], cells, left=[column.left for column in columns])


def _axis(name: str) -> Column:
    return Column(about="a value of the matrix", heading=name, get=lambda line: line.brief.axes.get(name))


def _failures(status: Status) -> list[str]:
    """A paragraph for each kind of failure and message: in how many cases, and in which first."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(status.failed, key=lambda row: -status.kinds[str(row.kind)]):
        groups.setdefault((str(row.kind), first_line(row.message)), []).append(row)
    lines = [f"failed: {_by_kind(status)}"] if groups else []
    for (kind, message), rows in list(groups.items())[:MOST_FAILURES]:
        more = f" and {plural(len(rows) - 1, 'other case')}" if len(rows) > 1 else ""
        lines += [f"  {kind}: {label(rows[0])}{more}", f"    {message}"]
    if len(groups) > MOST_FAILURES:
        lines.append(f"  and {len(groups) - MOST_FAILURES} other messages: isobench sweep status --json")
    return lines


def _by_kind(status: Status) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in status.kinds.items())


def _machines(status: Status) -> list[str]:
    """A warning if the Results come from machines with unlike CPUs."""
    hosts: dict[str, set[str]] = {}
    for row in status.measured:
        hosts.setdefault(row.cpu, set()).add(row.hostname)
    if len(hosts) < 2:
        return []
    where = [f"  {cpu or 'unknown CPU'}: {', '.join(sorted(names))}" for cpu, names in hosts.items()]
    return ["warning: measured on unlike machines, whose results can't be compared with each other:", *where]


def _local_time(text: str) -> str:
    """A time in UTC as a clock on the wall here shows it."""
    from datetime import datetime

    return datetime.fromisoformat(text).astimezone().strftime("%H:%M:%S")


_VERDICTS = {"wrong": "with wrong outputs", "invalid": "invalid"}
_FIGURES = (MEAN, MEDIAN, HALF_WIDTH, THROUGHPUT, OUTPUTS, VERDICT_OR_FAILURE)
_REPEAT = Column(about="the repetition of the case", heading="repeat", get=lambda line: line.brief.repeat or None)
