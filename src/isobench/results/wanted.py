"""Wanted: which Results a list shows, as names and values, and as a condition of SQL."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from isobench.analysis.noise import VERDICTS
from isobench.errors import UsageError
from isobench.record import record

STATUSES = ("measured", "failed", *VERDICTS, "unreadable")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@record(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is wanted of the Results; "" is everything.

    `model` is a name, a path or a glob, each with `::HASH` if need be; `runtime` a runtime's name or label, or a glob;
    `since` a time as `started_at` is written (`since` makes it of what users type); `status` one of `STATUSES`;
    `case_key`, `sweep` and `task` are whole.
    """

    model: str = ""
    runtime: str = ""
    since: str = ""
    status: str = ""
    case_key: str = ""
    sweep: str = ""
    task: str = ""

    @property
    def everything(self) -> bool:
        return self == Wanted()

    def condition(self) -> tuple[str, list[str]]:
        """The condition for a row of the index, with the values of its parameters."""
        found: list[tuple[str, list[str]]] = []
        if self.model:
            found.append(_model(self.model))
        if self.runtime:
            operator = "GLOB" if _is_glob(self.runtime) else "="
            found.append((f"(runtime {operator} ? OR label {operator} ?)", [self.runtime] * 2))
        if self.since:
            found.append(("started_at >= ?", [self.since]))
        if self.status:
            found.append(("verdict = ?" if self.status in VERDICTS else "status = ?", [self.status]))
        found += [
            (f"{name} = ?", [value])
            for name, value in (("case_key", self.case_key), ("sweep", self.sweep), ("task", self.task))
            if value
        ]
        return " AND ".join(text for text, _ in found) or "1", [value for _, values in found for value in values]


def since(text: str, *, now: datetime | None = None) -> str:
    """A date, a time or a span (`2026-11-28`, `2026-11-28T09:30`, `09:30`, `2d`, `12h`) as `started_at` is written.

    Times are in UTC, as those in Results are, unless they say otherwise. `now` is the present one.

    Raises:
        UsageError: it is none of these.
    """
    now = now or datetime.now(UTC)
    span = re.fullmatch(r"(\d+)([mhdw])", text)
    try:
        if span:
            at = now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        elif re.match(r"\d\d?:", text):
            at = datetime.combine(now.date(), time.fromisoformat(text))
        else:
            at = datetime.fromisoformat(text)
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since must be a date, a time (in UTC) or a span, got {text!r}",
            hint="2026-11-28, 2026-11-28T09:30, 09:30, 30m, 12h, 2d, 1w",
        ) from None
    return at.isoformat(timespec="milliseconds")


def _model(wanted: str) -> tuple[str, list[str]]:
    """By name, or by path: whole, or the end of it (`net.py`, `models/net.py`)."""
    text, _, digits = wanted.partition("::")
    path = str(Path(os.path.normpath(Path(text).absolute())))
    if _is_glob(text):
        condition, values = "(model GLOB ? OR model_path GLOB ? OR model_path GLOB ?)", [text, path, f"*/{text}"]
    else:
        condition = "(model = ? OR model_path = ? OR substr(model_path, -length(?)) = ?)"
        values = [text, path, f"/{text}", f"/{text}"]
    return (f"({condition} AND model_hash GLOB ?)", [*values, f"{digits}*"]) if digits else (condition, values)


def _is_glob(text: str) -> bool:
    return any(character in text for character in "*?[")
