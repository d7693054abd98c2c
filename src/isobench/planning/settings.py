"""Settings: how a Case is built and measured. Each option is declared here and nowhere else.

The options of the command line, the keywords of `isobench.benchmark` and of the `benchmark` tool, their checks and the
documentation's table are made from the fields of `Settings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, field, fields
from typing import Any, Literal

from isobench.constraints import shown
from isobench.errors import UsageError
from isobench.planning.setting_values import PHASES, READERS, TIMEOUT, UNKNOWN_PHASE, in_units
from isobench.record import record
from isobench.workers import machine

LEAST_ITERATIONS = 100
"""Timed iterations of a run where the user gives no number."""

MAX_TIME_S = 10.0
MAX_TIME_WITH_PRECISION_S = 60.0

COMPARE_DEFAULTS = {"processes": 3, "min_time_s": 2.0, "max_time_s": 20.0}
CALIBRATE_DEFAULTS = {"min_time_s": 1.0, "max_time_s": 10.0}
"""What `isobench compare` and `isobench calibrate` use in place of the defaults below."""

Kind = Literal["integer", "seconds", "percent", "switch", "list", "choice", "timeout", "bytes"]
_TYPES: dict[Kind, tuple[tuple[type, ...], str]] = {
    "integer": ((int,), "an integer"),
    "seconds": ((int, float), "a number of seconds"),
    "percent": ((int, float), "a number such as 0.01"),
    "switch": ((bool,), "true or false"),
    "list": ((tuple,), "a list of numbers"),
    "choice": ((str,), "a word"),
    "timeout": ((int, float), TIMEOUT),
    "bytes": ((int,), "a number of bytes, or such as 4GiB"),
}
_METAVARS: dict[Kind, str] = {
    "integer": "N",
    "seconds": "SECONDS",
    "percent": "PERCENT",
    "list": "LIST",
    "timeout": "SECONDS|PHASE=SECONDS,...",
    "bytes": "SIZE",
}
MOST = 10**9
"""The largest number where an option names none: nobody means more, and no clock or counter has to bear it."""

_NUMBERS = ("integer", "seconds", "timeout")


@record(frozen=True, slots=True, kw_only=True)
class Option:
    """One field of `Settings` as users see it.

    `default` is None where `unset` describes the default in words. Both limits are inclusive.
    """

    name: str
    kind: Kind
    help: str
    default: Any
    unset: str
    least: float | None
    most: float | None
    choices: tuple[str, ...]

    @property
    def flag(self) -> str:
        """The option as it is typed: `--min-time`."""
        return f"--{self.name.removesuffix('_s').removesuffix('_bytes').replace('_', '-')}"

    @property
    def metavar(self) -> str:
        return _METAVARS.get(self.kind, "|".join(self.choices))

    @property
    def allowed(self) -> str:
        """The allowed values in words, such as "at least 1"; "" for any value of its kind."""
        if self.choices:
            return " or ".join(self.choices)
        if self.least is None:
            return ""
        least = self.shown(self.least)
        return f"at least {least}" if self.most is None else f"from {least} to {self.shown(self.most)}"

    def shown(self, value: Any) -> str:
        """A value as the user would type it."""
        if self.kind == "percent" and isinstance(value, int | float):
            return f"{value * 100:g}%"
        if self.kind == "switch":
            return "on" if value else "off"
        if self.kind == "bytes":
            return in_units(value)
        return f"{value:.12g}" if isinstance(value, float) else str(value)

    def check(self, value: Any) -> None:
        """Raises:
        UsageError: `value` isn't allowed.
        """
        if value is None and self.unset:
            return
        if self.kind == "timeout" and isinstance(value, Mapping):
            for seconds in value.values():
                self.check(seconds)
            return
        if not self._is_of_kind(value):
            raise UsageError(f"{self.flag} must be {_TYPES[self.kind][1]}, got {value!r}")
        below = self.least is not None and not value >= self.least  # nan, too
        above = self.most is not None and not value <= self.most
        if below or above or (self.choices and value not in self.choices):
            got = repr(value) if self.choices else shown(self.shown(value), plain=True)
            raise UsageError(f"{self.flag} must be {self.allowed}, got {got}")
        if self.kind in _NUMBERS and self.most is None and value > MOST:
            raise UsageError(f"{self.flag} must be at most {MOST:,}, got {shown(self.shown(value), plain=True)}")

    def _is_of_kind(self, value: Any) -> bool:
        if self.kind == "list":
            return isinstance(value, tuple) and all(type(number) is int for number in value)
        return isinstance(value, _TYPES[self.kind][0]) and (type(value) is not bool or self.kind == "switch")


def option(
    kind: Kind,
    help: str,  # noqa: A002 - click's and argparse's own word for it
    *,
    default: Any = MISSING,
    unset: str = "",
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field of `Settings`, described for `Option`."""
    described = {"kind": kind, "help": help, "unset": unset, "least": least, "most": most, "choices": choices}
    return field(default=default, metadata=described)


@record(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a Case is built and measured; every value is concrete. `Settings.of` makes them from what a user gave.

    Raises:
        UsageError: a value isn't allowed.
    """

    iterations: int | None = option(
        "integer",
        "Time exactly this many iterations of each run.",
        default=None,
        unset=f"as many as fit in --min-time, at least {LEAST_ITERATIONS}",
        least=1,
    )
    min_time_s: float = option("seconds", "Undisturbed time to measure in each run.", default=0.5, least=0)
    max_time_s: float = option(
        "seconds",
        "Stop timing a run after this long; with --precision, all runs together.",
        default=MAX_TIME_S,
        unset=f"{MAX_TIME_S:g}; {MAX_TIME_WITH_PRECISION_S:g} with --precision",
        least=0,
    )
    warmup: int | None = option(
        "integer",
        "Run exactly this many untimed iterations first.",
        default=None,
        unset="until the latency has settled",
        least=1,
    )
    select: bool = option("switch", "Set aside blocks that other processes disturbed.", default=True)
    processes: int = option("integer", "Runs of each case, each in a new process.", default=1, least=1)
    precision: float | None = option(
        "percent",
        "Add runs until each median is known to this precision, such as 1%.",
        default=None,
        unset="exactly --processes runs",
        least=1e-4,
        most=1,
    )
    threads: int = option("integer", "Threads of each runtime.", unset="the available physical cores", least=1)
    cpus: tuple[int, ...] = option("list", "CPUs that each worker may use, such as 0-3,8.", default=())
    nice: int = option(
        "integer", "Priority of each worker, from -20 (highest) to 19 (lowest).", default=0, least=-20, most=19
    )
    memory_nodes: tuple[int, ...] = option("list", "NUMA nodes to allocate memory from, such as 0,1.", default=())
    heap: str = option(
        "choice",
        "Freed memory: reuse it for the next iteration (steady), or leave it to the C library.",
        default="steady",
        choices=("steady", "default"),
    )
    seed: int = option(
        "integer", "Seed of all random numbers, the script's included.", default=0, least=0, most=2**32 - 1
    )
    timeout_s: float = option(
        "timeout",
        f"Stop a worker after this long; or one phase of its work: {', '.join(PHASES)}.",
        default=900.0,
        least=0.1,
    )
    phase_timeouts_s: Mapping[str, float] = field(default_factory=dict)
    memory_limit_bytes: int | None = option(
        "bytes",
        "Memory that a worker, with all its processes, may use, such as 4GiB.",
        default=None,
        unset="no limit",
        least=64 << 20,
        most=1 << 50,
    )
    opset: int | None = option(
        "integer", "ONNX opset of the export.", default=None, unset="the exporter's choice", least=1
    )
    max_depth: int = option("integer", "Look for sub-models down to this depth.", default=0, least=0)

    def __post_init__(self) -> None:
        for name, one in OPTIONS.items():
            one.check(getattr(self, name))
        limit = OPTIONS["timeout_s"]
        for phase, seconds in self.phase_timeouts_s.items():
            if phase not in PHASES:
                raise UsageError(f"{limit.flag}: {UNKNOWN_PHASE.format(phase)}")
            limit.check(seconds)

    @classmethod
    def of(cls, **given: Any) -> Settings:
        """The settings with the `given` values, and with defaults for those that are missing or None.

        Sizes, lists, percentages and time limits may be text, as on the command line.

        Raises:
            UsageError: a name is unknown, or a value isn't allowed, or names a CPU or memory node that isn't available.
        """
        values = _with_defaults(given)
        for name, available in (("cpus", machine.cpus), ("memory_nodes", machine.memory_nodes)):
            if values[name]:
                _check_available(OPTIONS[name], values[name], available())
        if "threads" not in values:
            from isobench.system.devices import default_threads

            values["threads"] = default_threads(values["cpus"])
        return cls(**values)

    @classmethod
    def for_other_machine(cls, **given: Any) -> Settings:
        """The settings for a machine that isn't this one: nothing of this machine is a default, or checked.

        Raises:
            UsageError: a name is unknown, a value isn't allowed, or `threads` isn't given.
        """
        values = _with_defaults(given)
        if "threads" not in values:
            raise UsageError(
                "--threads must be given: the machine that measures may have other cores than this one",
                hint="For example: threads = 4.",
            )
        return cls(**values)

    @property
    def worker_iterations(self) -> int:
        """The iterations that a worker's `_execute` gets: the number that the user gave, or else the least."""
        return LEAST_ITERATIONS if self.iterations is None else self.iterations

    @property
    def resources(self) -> dict[str, Any]:
        """The CPUs, priority, memory nodes and memory that were requested for the workers; as JSON."""
        requested = {
            "cpus": list(self.cpus),
            "nice": self.nice,
            "memory_nodes": list(self.memory_nodes),
            "memory_limit_bytes": self.memory_limit_bytes,
        }
        return {name: value for name, value in requested.items() if value}

    @property
    def build_resources(self) -> dict[str, Any]:
        """As `resources`, for workers that build: only what keeps them from taking the machine down."""
        return {name: value for name, value in self.resources.items() if name == "memory_limit_bytes"}


def _with_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are given, with those defaults that depend on other values; lists are in order."""
    unknown = [name for name in given if name not in OPTIONS]
    if unknown:
        raise UsageError(f"unknown option {unknown[0]!r}", hint=f"The options are: {', '.join(OPTIONS)}.")
    values = {name: _read(OPTIONS[name], value) for name, value in given.items() if value is not None}
    for name in ("cpus", "memory_nodes"):
        values[name] = tuple(sorted(set(values.get(name, ()))))
        OPTIONS[name].check(values[name])
    for name, value in values.items():
        if OPTIONS[name].kind in ("seconds", "percent") and type(value) is int:
            values[name] = float(value)  # as it is read from a stored Plan: the CaseKey must not differ
    if "timeout_s" in values:
        total_s, values["phase_timeouts_s"] = _timeouts(values["timeout_s"])
        values["timeout_s"] = OPTIONS["timeout_s"].default if total_s is None else total_s
    if "max_time_s" not in values and "precision" in values:
        values["max_time_s"] = MAX_TIME_WITH_PRECISION_S
    return values


def _option(name: str, default: Any, described: Any) -> Option:
    return Option(name=name, default=None if default is MISSING or described["unset"] else default, **described)


OPTIONS = {one.name: _option(one.name, one.default, one.metadata) for one in fields(Settings) if one.metadata}
"""Every option, by the name of its field."""

BUILD_OPTIONS = ("seed", "timeout_s", "memory_limit_bytes", "opset", "max_depth")
"""The options of the builds; all others are of measuring."""


def _read(one: Option, given: Any) -> Any:
    """The value of an option, read if it is text of a form of its own."""
    if one.kind not in READERS or not isinstance(given, str):
        return given
    try:
        return READERS[one.kind](given)
    except ValueError as error:
        raise UsageError(f"{one.flag} {error}") from None


def _timeouts(given: Any) -> tuple[float | None, dict[str, float]]:
    """The limit of all phases together (None: not given), and those of single phases."""
    if not isinstance(given, Mapping):
        return float(given) if type(given) is int else given, {}
    limits = {phase: float(seconds) if type(seconds) is int else seconds for phase, seconds in given.items()}
    return limits.pop("", None), limits


def markdown_table(names: Iterable[str] = tuple(OPTIONS)) -> str:
    """The options as the documentation lists them: flag, keyword, default, values, what it does."""
    lines = ["| option | keyword | default | values | |", "| --- | --- | --- | --- | --- |"]
    for one in map(OPTIONS.__getitem__, names):
        flag = f"{one.flag} {one.metavar}".strip() if one.kind != "switch" else f"{one.flag}, --no-{one.flag[2:]}"
        default = one.unset or one.shown(one.default) if one.default != () else "all"
        lines.append(f"| `{flag.replace('|', ', ')}` | `{one.name}` | {default} | {one.allowed} | {one.help} |")
    return "\n".join(lines)


def _check_available(one: Option, requested: Iterable[int], available: Iterable[int]) -> None:
    missing = sorted(set(requested) - set(available))
    if missing:
        raise UsageError(
            f"{one.flag} must be among those that this process may use, got {machine.cpu_list(missing)}",
            hint=f"Available: {machine.cpu_list(tuple(available)) or 'none'}.",
        )
