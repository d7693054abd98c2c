"""Reads a suite file: TOML -> `Suite`. Every error names the file, the line and what is allowed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from isobench import plugins
from isobench.errors import UsageError
from isobench.planning import suite_keys, suite_values, toml_lines
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.planning.settings import OPTIONS
from isobench.planning.suite import Axis, Condition, Given, Suite, SuiteError, SuiteModel, SuiteRuntime, all_of
from isobench.planning.suite_forms import Problems
from isobench.planning.suite_tables import AXES, Record
from isobench.planning.toml_lines import Place
from isobench.system import files

_MOST_BYTES = 2**24
_LINE = re.compile(r" \(at line (\d+), column (\d+)\)$")
_TWICE = (
    "Cannot overwrite a value",
    "Cannot declare",
    "Cannot mutate immutable namespace",
    "Duplicate inline table key",
)


def load(path: str | Path) -> Suite:
    """Read a suite file. Whether its models and runtimes exist, `isobench.preflight.sweep` checks.

    Raises:
        SuiteError: it can't be read, isn't TOML, or isn't a suite; all errors of its form are listed.
    """
    given = Path(path)
    content = _read(given)
    text = _decoded(given, content)
    try:
        value = tomllib.loads(text)
        lines = toml_lines.lines(text)
    except ValueError as error:  # a TOMLDecodeError; or a number of too many digits
        raise _syntax_error(given, text, str(error)) from None
    except RecursionError:
        raise SuiteError(f"{given.name}: its lists or tables are nested too deeply") from None
    reader = _Reader(given, value, lines, tuple(one.name for one in plugins.executors()))
    return reader.suite(sha256=files.sha256_of(content))


def _read(path: Path) -> bytes:
    hint = "A suite is a TOML file: see docs/suites.md."
    try:
        if path.is_dir():
            raise SuiteError(f"{path} is a folder, not a suite", hint=hint)
        if path.exists() and not path.is_file():
            raise SuiteError(f"{path} isn't a file", hint=hint)
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        from isobench.system.names import did_you_mean

        beside = [file.name for file in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        raise SuiteError(f"{path}: no such file{did_you_mean(path.name, beside)}", hint=hint) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        raise SuiteError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}", hint=hint) from None
    if len(content) > _MOST_BYTES:
        raise SuiteError(f"{path} is too large for a suite: more than {_MOST_BYTES >> 20} MiB", hint=hint)
    return content


def _decoded(path: Path, content: bytes) -> str:
    """The text, without the mark that some editors write in front (BOM)."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SuiteError(f"{path.name}, line {line}: it isn't encoded in UTF-8", hint="Save it as UTF-8.") from None


def _syntax_error(path: Path, text: str, reason: str) -> SuiteError:
    place = _LINE.search(reason)
    line = int(place[1]) if place else text.count("\n") + (not text.endswith("\n"))
    what = _LINE.sub("", reason).removesuffix(" (at end of document)")
    hint = ""
    if any(what.startswith(beginning) for beginning in _TWICE):
        keys = re.findall(r"'([^']*)'", what) or [text.splitlines()[line - 1].partition("=")[0].strip()]
        what = f"{'.'.join(keys)} is given twice"
    elif path.suffix in {".yaml", ".yml", ".json"}:
        hint = f"A suite is a TOML file, {path.name} looks like another format. See docs/suites.md."
    elif what == "Invalid value":
        hint = "Text must be in quotes; true and false are lower case."
    return SuiteError(f"{path.name}, line {line}: not valid TOML: {what}", hint=hint)


class _Reader:
    """One file: its values become records, its errors are collected."""

    def __init__(self, path: Path, value: dict[str, Any], lines: dict[Place, int], executors: tuple[str, ...]) -> None:
        self._path = path.absolute()
        self._value = value
        self._lines = lines
        self._executors = executors
        self._problems = Problems()

    def suite(self, *, sha256: str) -> Suite:
        """The suite.

        Raises:
            SuiteError: it has errors; all of them are listed.
        """
        tables = {name: self._value[name] for name in self._executors if name in self._value}
        rest = {name: value for name, value in self._value.items() if name not in tables}
        further = tuple(f"[{name}]" for name in self._executors)
        form = Record(suite_keys.TOP, hints=suite_keys.TOP_HINTS, further=further)
        found = form.read(rest, (), self._problems) or {}
        options = {
            name: {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in (suite_keys.EXECUTOR.read(table, (name,), self._problems) or {}).items()
            }
            for name, table in tables.items()
        }
        if "device" in found and "devices" in found:
            self._problems.add(("devices",), "device and devices are both given", "Keep one of them.")
        self._raise()
        suite = Suite(
            path=self._path,
            sha256=sha256,
            name=found.get("name") or _name_of(self._path),
            models=tuple(map(self._model, _numbered(self._value, "models"), found["models"])),
            runtimes=self._runtimes(found, ()) or (),
            devices=(found["device"],) if "device" in found else found.get("devices", ()),
            settings=self._settings(found.get("settings", {})),
            rt_args=found.get("rt-args", {}),
            given=_given(found, ()),
            select_labels=found.get("select-labels", ()),
            matrix=self._axes(found.get("matrix", {})),
            exclude=tuple(map(self._condition, _numbered(self._value, "exclude"), found.get("exclude", ()))),
            include=tuple(map(self._condition, _numbered(self._value, "include"), found.get("include", ()))),
            options=options,
            lines=self._lines,
            **{
                name.replace("-", "_"): found[name]
                for name in ("repeat", "order", "order-seed", "interleave", "executor", "attempts")
                if name in found
            },
        )
        self._raise()
        return suite

    def _raise(self) -> None:
        """Raise the errors that were found so far."""
        if not self._problems.found:
            return
        blank = Suite(path=self._path, sha256="", name="", models=(), lines=self._lines)
        found = self._problems.found
        raise all_of(self._path, [blank.error(place, message, hint=hint) for place, message, hint in found])

    def _model(self, place: Place, found: str | dict[str, Any]) -> SuiteModel:
        if isinstance(found, str):
            return SuiteModel(path=found, place=place)
        return SuiteModel(
            path=found["path"],
            place=place,
            given=_given(found, place),
            matrix=self._axes(found.get("matrix", {})),
            runtimes=self._runtimes(found, place),
        )

    def _runtimes(self, found: Mapping[str, Any], place: Place) -> tuple[SuiteRuntime, ...] | None:
        if "runtimes" not in found:
            return None
        where = (*place, "runtimes")
        return tuple(
            SuiteRuntime(choice=choice, place=(*where, count))
            for count, one in enumerate(found["runtimes"])
            if (choice := self._choice(one, (*where, count))) is not None
        )

    def _choice(self, found: str | dict[str, Any], place: Place) -> RuntimeChoice | None:
        if not isinstance(found, str):
            values = {"environment": found.get("environment", ""), "arguments": found.get("args", {})}
            return RuntimeChoice(name=found["name"], **values)
        try:
            return RuntimeChoice.parse(found)
        except UsageError as error:
            self._problems.add(place, error.message, error.hint)
            return None

    def _settings(self, found: Mapping[str, Any]) -> dict[str, Any]:
        fields = {suite_values.name(option): name for name, option in OPTIONS.items()}
        return {fields[name]: value for name, value in found.items()}

    def _axes(self, found: Mapping[str, Axis]) -> dict[str, Axis]:
        for axis in found.values():
            if axis.name in _RESERVED:
                self._problems.add(axis.place, f"an axis can't be called {axis.name!r}", _RESERVED[axis.name])
        return dict(found)

    def _condition(self, place: Place, found: dict[str, Any]) -> Condition:
        if not any(found.values()):
            self._problems.add(place, "an empty table matches everything: name a model, a runtime, a device or an axis")
        return Condition(
            axes=found[AXES] or {},
            models=found.get("model", ()),
            runtimes=found.get("runtime", ()),
            devices=found.get("device", ()),
            place=place,
        )


_RESERVED = {name: hint for name, hint in suite_keys.ABOVE.items() if name != "name"} | {
    "model": "Models are listed in models.",
    "runtime": "Runtimes are listed in runtimes.",
    "schema": suite_keys.ABOVE["models"],
}
"""Names that an axis can't have, with what to do instead."""


def _given(found: Mapping[str, Any], place: Place) -> Given:
    """What a table gives to models, with the places of it."""
    names: dict[str, Callable[[Any], Any]] = dict.fromkeys(("dim", "shape", "fill", "env", "labels"), dict)
    names |= {"script-args": tuple, "inputs": tuple}
    places: dict[Place, Place] = {}
    values = {}
    for name in names:
        if name in found:
            member = name.replace("-", "_")
            values[member] = found[name]
            places[member,] = (*place, name)
            if isinstance(found[name], dict):
                places |= {(member, key): (*place, name, key) for key in found[name]}
    return Given(places=places, **values)


def _numbered(value: Mapping[str, Any], name: str) -> list[Place]:
    """The places of a list's entries; of a single value, its own."""
    found = value.get(name, [])
    return [(name, count) for count in range(len(found))] if isinstance(found, list) else [(name,)]


def _name_of(path: Path) -> str:
    """The file's name as the name of a suite."""
    return re.sub(r"[^\w.-]+", "-", path.stem).lstrip("._-") or "suite"
