"""Suite: what a suite file asks for, as records. `suite_file.load` reads them; `isobench.preflight` expands them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import Any

from isobench.errors import IsobenchError, UsageError
from isobench.failures import Ending
from isobench.planning import toml_lines
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.planning.toml_lines import Place
from isobench.record import record

SCHEMA = "isobench.suite/1"
AS_WRITTEN = "as-written"
RANDOM = "random"


class SuiteError(UsageError):
    """Errors of a suite file; the message names the file and the line, or `details` has one line for each error.

    `line` is that of a single error.
    """

    line = 0


@record(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis of a matrix. Its values are numbers, text, true or false, or tuples of these."""

    name: str
    values: tuple[Any, ...]
    place: Place

    def place_of(self, value: Any) -> Place:
        """Where a value stands."""
        return (*self.place, next((count for count, one in enumerate(self.values) if one is value), 0))


@record(frozen=True, slots=True, kw_only=True)
class Given:
    """What is given to models: by the suite to all of them, or by a model's own table. Text may use `{axis}`.

    `script_args`, `inputs`: None where nothing is given. `places` has where each member stands in the file, and each
    key of `dim`, `shape`, `fill`, `env` and `labels`: ("dim", "batch").
    """

    script_args: tuple[str, ...] | None = None
    dim: Mapping[str, int | str] = field(default_factory=dict)
    shape: Mapping[str, tuple[int | str, ...] | str] = field(default_factory=dict)
    inputs: tuple[str, ...] | None = None
    fill: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[Place, Place] = field(default_factory=dict)

    def over(self, general: Given) -> Given:
        """These, with those of `general` that aren't among them; lists replace lists, tables are merged key by key."""
        return Given(
            script_args=general.script_args if self.script_args is None else self.script_args,
            inputs=general.inputs if self.inputs is None else self.inputs,
            dim={**general.dim, **self.dim},
            shape={**general.shape, **self.shape},
            fill={**general.fill, **self.fill},
            env={**general.env, **self.env},
            labels={**general.labels, **self.labels},
            places={**general.places, **self.places},
        )

    def place(self, *key: str) -> Place:
        """Where a member, or one of its keys, stands."""
        return self.places.get(key) or self.places.get(key[:1]) or ()

    def texts(self, *members: str) -> Iterator[tuple[tuple[str, ...], str]]:
        """Every text in these members that may use an axis, with its member and key."""
        for member in members:
            value = getattr(self, member)
            if isinstance(value, tuple):
                yield from (((member,), one) for one in value)
            elif value:
                for key, inner in value.items():
                    parts = inner if isinstance(inner, tuple) else (inner,)
                    yield from (((member, key), one) for one in parts if isinstance(one, str))


@record(frozen=True, slots=True, kw_only=True)
class SuiteRuntime:
    """A runtime of a suite; the texts among its arguments may use `{axis}`."""

    choice: RuntimeChoice
    place: Place


@record(frozen=True, slots=True, kw_only=True)
class SuiteModel:
    """One entry of `models`: a file, a glob or a list, with what is given to its models only.

    `matrix` adds axes to the suite's, or replaces them; `runtimes` (None: the suite's) replace the suite's.
    """

    path: str
    place: Place
    given: Given = field(default_factory=Given)
    matrix: Mapping[str, Axis] = field(default_factory=dict)
    runtimes: tuple[SuiteRuntime, ...] | None = None


@record(frozen=True, slots=True, kw_only=True)
class Condition:
    """One table of `exclude` or `include`. Models, runtimes and devices are patterns; () stands for all of them."""

    axes: Mapping[str, Axis]
    models: tuple[str, ...]
    runtimes: tuple[str, ...]
    devices: tuple[str, ...]
    place: Place


@record(frozen=True, slots=True, kw_only=True)
class Suite:
    """A suite file, read and checked for its form; whether models and runtimes exist, `isobench.preflight` checks.

    `settings` are by the names of `Settings`' fields, as they are written. `options` are those of executors, by
    executor. `devices` is () where none is named. `lines` has the lines of the file by place.
    """

    path: Path
    sha256: str
    name: str
    models: tuple[SuiteModel, ...]
    runtimes: tuple[SuiteRuntime, ...] = ()
    devices: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    rt_args: Mapping[str, Any] = field(default_factory=dict)
    given: Given = field(default_factory=Given)
    select_labels: tuple[str, ...] = ()
    matrix: Mapping[str, Axis] = field(default_factory=dict)
    exclude: tuple[Condition, ...] = ()
    include: tuple[Condition, ...] = ()
    repeat: int = 1
    order: str = AS_WRITTEN
    order_seed: int = 0
    interleave: bool = False
    executor: str = "local"
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    attempts: int = 2
    lines: Mapping[Place, int] = field(default_factory=dict, repr=False)

    @property
    def folder(self) -> Path:
        """Where relative paths start: the folder of the file as it was named, not of what a link leads to."""
        return self.path.parent

    def error(self, place: Place, message: str, *, hint: str = "", kind: Ending | None = None) -> SuiteError:
        """The error for what stands at a place."""
        error = SuiteError(f"{self.path.name}, {self.where(place)}: {message}", hint=hint, kind=kind)
        error.line = toml_lines.line(self.lines, place)
        return error

    def where(self, place: Place) -> str:
        """The line of a place in words: "line 12"."""
        return f"line {toml_lines.line(self.lines, place)}"

    @contextmanager
    def at(self, place: Place) -> Iterator[None]:
        """Within this, errors that name no line get the one of `place`.

        Raises:
            SuiteError: what was raised, with the line.
        """
        try:
            yield
        except SuiteError:
            raise
        except IsobenchError as error:
            raise self.error(place, error.message.removeprefix("--"), hint=error.hint, kind=error.kind) from None


def all_of(path: Path, errors: Sequence[SuiteError]) -> SuiteError:
    """Several errors of a file as one, in the order of their lines; a single one as it is."""
    if len(errors) == 1:
        return errors[0]
    lines = []
    for one in sorted(errors, key=lambda error: error.line):
        lines.append(one.message.removeprefix(f"{path.name}, "))
        lines += [f"  hint: {one.hint}"] if one.hint else []
    return SuiteError(f"{path.name} has {len(errors)} errors", details="\n".join(lines), kind=errors[0].kind)


__all__ = ["AS_WRITTEN", "RANDOM", "SCHEMA", "Axis", "Condition", "Given", "Suite", "SuiteError", "SuiteModel"]
