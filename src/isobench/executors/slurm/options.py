"""The options of the executor `slurm`: `[slurm]` in a suite, or `--slurm key=value`.

Each is declared here and nowhere else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any

from isobench.errors import UsageError
from isobench.record import record
from isobench.system import names

_DURATION = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>\d+)(?::(?P<seconds>\d+))?")
_SWITCH = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}
_KINDS = {
    "word": "a word",
    "switch": "true or false",
    "count": "a whole number, at least 1",
    "minutes": "minutes (90) or HH:MM:SS",
    "seconds": "a number of seconds, at least 0.1",
    "lines": "lines of shell: text, or a list",
    "size": "a size such as 16G",
    "place": "here or node",
}


def _option(kind: str, meaning: str, default: Any) -> Any:
    return field(default=default, metadata={"kind": kind, "meaning": meaning})


@record(frozen=True, slots=True, kw_only=True)
class Options:
    """What a task's job requests, and how the sweep is watched. None and "" leave it to Slurm."""

    partition: str = _option("word", "the partition; without it, the cluster's default", "")
    account: str = _option("word", "the account that is charged", "")
    qos: str = _option("word", "the quality of service", "")
    time: int | None = _option("minutes", "limit for one task, waiting for the device included", None)
    constraint: str = _option("word", "features that the node must have, as in `sbatch --constraint`", "")
    nodelist: str = _option("word", "use these nodes only, such as `node[1-3]`", "")
    exclude: str = _option("word", "nodes that are never used, such as `node[1-3]`", "")
    exclusive: bool = _option("switch", "a whole node for each task; by default, unless `cpus` is given", True)
    cpus: int | None = _option("count", "CPUs of a task that has no whole node; it is bound to them", None)
    memory: str = _option("size", "memory of a task on its node, as in `sbatch --mem`; `0`: all of it", "")
    gres: str = _option("word", "generic resources of a task, such as `gpu:a100:1`", "")
    at_once: int | None = _option("count", "most tasks that run at a time", None)
    setup: tuple[str, ...] = _option("lines", "shell in the job's script before isobench starts: `module load ...`", ())
    python: str = _option("word", "the interpreter on the nodes that has isobench[slurm]; by default, this one", "")
    prepare: str = _option(
        "place", "where environments and builds are made; by default `here` if the nodes are alike", ""
    )
    poll: float = _option("seconds", "time between two looks at the queue", 10.0)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """The options of a suite (values) or of the command line (text).

        Raises:
            UsageError: one is unknown, or its value isn't allowed.
        """
        declared = {_name(one.name): one for one in fields(cls)}
        values = {}
        for name, value in given.items():
            one = declared.get(name.replace("_", "-"))
            if one is None:
                close = names.did_you_mean(name, declared)
                raise UsageError(f"--slurm has no option {name!r}{close}", hint=f"Options: {', '.join(declared)}")
            values[one.name] = _converted(name, one.metadata["kind"], value)
        if "cpus" in values and "exclusive" not in values:
            values["exclusive"] = False
        return cls(**values)


def table() -> list[tuple[str, str, str]]:
    """Name, kind and meaning of every option, for documents."""
    return [(_name(one.name), _KINDS[one.metadata["kind"]], one.metadata["meaning"]) for one in fields(Options)]


def _name(attribute: str) -> str:
    return attribute.replace("_", "-")


def _converted(name: str, kind: str, value: Any) -> Any:
    try:
        return _CONVERSIONS[kind](value)
    except (TypeError, ValueError):
        raise UsageError(f"--slurm {name} must be {_KINDS[kind]}, got {value!r}") from None


def _word(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value) or "\n" in str(value):
        raise ValueError(value)
    return str(value)


def _switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() not in _SWITCH:
        raise ValueError(value)
    return _SWITCH[str(value).lower()]


def _count(value: Any) -> int:
    if isinstance(value, bool) or int(value) != float(value) or int(value) < 1:
        raise ValueError(value)
    return int(value)


def _minutes(value: Any) -> int:
    """Slurm counts in minutes, so seconds are rounded up."""
    duration = _DURATION.fullmatch(str(value))
    if duration is None:
        return _count(value)
    days, hours, minutes, seconds = (int(duration[part] or 0) for part in ("days", "hours", "minutes", "seconds"))
    return _count(math.ceil(((days * 24 + hours) * 60 + minutes) + seconds / 60))


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not 0.1 <= float(value) < math.inf:
        raise ValueError(value)
    return float(value)


def _lines(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.splitlines())
    if not all(isinstance(line, str) for line in value):
        raise ValueError(value)
    return tuple(value)


def _size(value: Any) -> str:
    text = _word(value)
    if not re.fullmatch(r"\d+[KMGT]?", text, re.IGNORECASE):
        raise ValueError(value)
    return text


def _place(value: Any) -> str:
    if value not in ("here", "node"):
        raise ValueError(value)
    return str(value)


_CONVERSIONS = {
    "word": _word,
    "switch": _switch,
    "count": _count,
    "minutes": _minutes,
    "seconds": _seconds,
    "lines": _lines,
    "size": _size,
    "place": _place,
}
