"""A combination of a suite's matrix -> model, runtime and settings, each checked once for equal values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from isobench.errors import IsobenchError, ModelError, UsageError
from isobench.paths import expanded
from isobench.planning import script_variables, selection, suite_values
from isobench.planning.models import Model
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.planning.settings import OPTIONS, Settings
from isobench.planning.suite import Suite
from isobench.planning.toml_lines import Place
from isobench.preflight import plan
from isobench.preflight.expansion import Combination
from isobench.preflight.onnx_files import OnnxFiles
from isobench.preflight.roles import Kind, Role
from isobench.runtimes.keywords import keywords
from isobench.runtimes.registry import Entry
from isobench.system.devices import Device


class Filler:
    """Fills in the values of axes. What is equal for many combinations is made and checked once.

    `is_here`: the tasks run on this machine, so that its CPUs and its default of --threads are theirs.
    """

    def __init__(self, suite: Suite, roles: Mapping[str, Role], *, is_here: bool, threads: int | None) -> None:
        self._suite = suite
        self._roles = roles
        self._is_here = is_here
        self._threads = threads
        self._models: dict[tuple[Any, ...], Model] = {}
        self._choices: dict[tuple[Any, ...], RuntimeChoice] = {}
        self._settings: dict[tuple[Any, ...], Settings] = {}
        self._onnx = OnnxFiles()
        self._fits: set[tuple[Any, ...]] = set()

    def model(self, one: Combination) -> Model:
        """The model, with its texts filled in.

        Raises:
            SuiteError: a text can't be filled; a file of inputs is missing; a size doesn't fit the file.
        """
        key = (one.target.number, one.target.model.path, one.target.model.hash, *self._key(one, Kind.TEXT))
        if key not in self._models:
            self._models[key] = self._filled(one)
        return self._models[key]

    def choice(self, one: Combination, device: Device) -> RuntimeChoice:
        """The runtime with its arguments.

        Raises:
            SuiteError: an argument isn't allowed.
        """
        target = one.target
        key = (
            target.runtime.place,
            str(target.runtime.choice),
            target.device,
            *self._key(one, Kind.TEXT, Kind.ARGUMENT),
        )
        if key not in self._choices:
            self._choices[key] = self._chosen(one, device)
        return self._choices[key]

    def settings(self, one: Combination) -> Settings:
        """The settings.

        Raises:
            SuiteError: a value isn't allowed.
        """
        key = self._key(one, Kind.TEXT, Kind.SETTING)
        if key not in self._settings:
            self._settings[key] = self._set(one)
        return self._settings[key]

    def labels(self, one: Combination) -> dict[str, str]:
        """The suite's own labels; one whose axis isn't used for this combination is left out."""
        found = {}
        for (_, key), text in one.target.given.texts("labels"):
            with self._suite.at(one.target.given.place("labels", key)):
                try:
                    found[key] = suite_values.as_text(suite_values.filled(text, one.values))
                except KeyError:
                    continue
                except ValueError as error:
                    raise UsageError(f"labels.{key} {error}") from None
        return found

    def check(self, one: Combination, model: Model, entry: Entry) -> None:
        """Raises:
        SuiteError: the runtime can't run the model, or its tools don't fit it.
        """
        key = (model.path, model.hash, str(one.target.runtime.choice), one.target.device)
        if key in self._fits:
            return
        with self._suite.at(one.place):
            plan.check_tools(entry, model)
            reason = entry.cls.takes_scripts_only if not model.is_script else ""
            if model.is_ort_format and not entry.cls.takes_ort_format and not reason:
                reason = "only ONNX Runtime reads its format"
            if reason:
                name, runtime = model.path.name, one.target.runtime.choice.name
                raise ModelError(
                    f"{entry.label} can't run {name}: {reason}",
                    hint=f'Give the model runtimes of its own, or leave it out: [[exclude]] model = "{name}" '
                    f'runtime = "{runtime}".',
                )
        self._fits.add(key)

    def _key(self, one: Combination, *kinds: Kind) -> tuple[str, ...]:
        """The values of the axes of some kinds; 1, 1.0 and true are equal to Python, but not here."""
        return tuple(f"{name}={value!r}" for name, value in one.values.items() if self._roles[name].kind in kinds)

    def _text(self, one: Combination, place: Place, text: str) -> Any:
        with self._suite.at(place):
            try:
                return suite_values.filled(text, one.values) if suite_values.axes_in(text) else _unescaped(text)
            except KeyError as error:
                known = ", ".join(one.values) or "none is used here"
                raise UsageError(
                    f'there is no axis {error.args[0]!r} for "{text}"', hint=f"The axes are: {known}. A brace is {{{{."
                ) from None
            except ValueError as error:
                raise UsageError(f"{suite_values.shown(text)} {error}") from None

    def _filled(self, one: Combination) -> Model:
        given, folder = one.target.given, self._suite.folder
        words: dict[tuple[str, ...], list[Any]] = {}
        members = ("script_args",) if one.target.model.is_script else ("dim", "shape")
        for key, text in given.texts(*members, "inputs", "fill", "env"):
            value = self._text(one, given.place(*key), text)
            words.setdefault(key, []).append(value)
        plain = {key: [suite_values.as_text(value) for value in values] for key, values in words.items()}
        with self._suite.at(given.place("env")):
            env = script_variables.checked({key: plain["env", key][0] for key in given.env})
        with self._suite.at(given.place("inputs")):
            files, named = selection.given_files(plain.get(("inputs",), ()), folder)
        rules = {key: _absolute(plain["fill", key][0], folder) for key in given.fill}
        model = replace(
            one.target.model,
            script_args=tuple(plain.get(("script_args",), ())),
            env=env,
            inputs=files,
            fill={**named, **rules},
        )
        return model if model.is_script else self._sized(one, model, plain)

    def _sized(self, one: Combination, model: Model, plain: Mapping[tuple[str, ...], list[str]]) -> Model:
        """An `.onnx` file with its sizes; they fit it."""
        given = one.target.given
        dimensions: dict[str, int] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        for key, size in given.dim.items():
            with self._suite.at(given.place("dim", key)):
                text = plain["dim", key][0] if isinstance(size, str) else size
                dimensions |= selection.dimensions([f"{key}={text}"])
        for key, sizes in given.shape.items():
            with self._suite.at(given.place("shape", key)):
                words = iter(plain.get(("shape", key), ()))
                parts = [sizes] if isinstance(sizes, str) else sizes
                text = ",".join(next(words) if isinstance(part, str) else str(part) for part in parts)
                shapes |= selection.shapes([f"{key}={text or '[]'}"])
        sized = replace(model, dimensions=dimensions, shapes=shapes)
        try:
            self._onnx.check(sized)
        except IsobenchError as error:
            place, hint = _place_of(error, one), _as_toml(error.hint)
            message = error.message.removeprefix("--")
            raise self._suite.error(place, message, hint=hint, kind=error.kind) from None
        return sized

    def _chosen(self, one: Combination, device: Device) -> RuntimeChoice:
        target, suite = one.target, self._suite
        arguments = {
            name: self._argument(one, target.runtime.place, value)
            for name, value in target.runtime.choice.arguments.items()
        }
        added = {
            self._roles[name].name: (one.axes[name].place_of(value), value)
            for name, value in one.values.items()
            if self._roles[name].concerns(target.runtime.choice, target.entry)
        }
        arguments |= {name: value for name, (_, value) in added.items()}
        paths = {keyword.name for keyword in keywords(target.entry.cls)[0] if "Path" in str(keyword.kind)}
        for name in paths & set(arguments):
            if isinstance(arguments[name], str):
                arguments[name] = str(suite.folder / expanded(arguments[name]))
        choice = replace(target.runtime.choice, arguments=arguments)
        try:
            plan.runtime(choice, device, self.rt_args(one), interleaved=suite.interleave)
        except UsageError as error:
            places: dict[str, Place] = {name: ("rt-args", name) for name in suite.rt_args}
            places |= {name: (*target.runtime.place, "args", name) for name in target.runtime.choice.arguments}
            places |= {name: place for name, (place, _) in added.items()}
            words = set(re.findall(r"\w+", error.message))
            with suite.at(next((place for name, place in places.items() if name in words), target.runtime.place)):
                raise error from None
        return choice

    def rt_args(self, one: Combination) -> dict[str, Any]:
        """The arguments of all runtimes."""
        return {name: self._argument(one, ("rt-args", name), value) for name, value in self._suite.rt_args.items()}

    def _argument(self, one: Combination, place: Place, value: Any) -> Any:
        if isinstance(value, tuple):
            return [self._argument(one, place, inner) for inner in value]
        return self._text(one, place, value) if suite_values.has_axis(value) else value

    def _set(self, one: Combination) -> Settings:
        values: dict[str, Any] = {}
        places: dict[str, Place] = {}
        for field, value in self._suite.settings.items():
            places[field] = ("settings", suite_values.name(OPTIONS[field]))
            filled = self._text(one, places[field], value) if suite_values.has_axis(value) else value
            values[field] = self._setting(field, filled, places[field], is_made=filled is not value)
        for name, value in one.values.items():
            if self._roles[name].kind is Kind.SETTING:
                field = self._roles[name].name
                places[field] = one.axes[name].place_of(value)
                values[field] = self._setting(field, value, places[field], is_made=False)
        if self._threads is not None:
            values.setdefault("threads", self._threads)
        try:
            made = Settings.of(**values) if self._is_here else Settings.for_other_machine(**values)
            plan.check_interleaved(made, interleaved=self._suite.interleave)
        except UsageError as error:
            words = set(re.findall(r"[a-z-]+", error.message.replace("--", "")))
            named = (place for field, place in places.items() if suite_values.name(OPTIONS[field]) in words)
            with self._suite.at(next(named, ("settings",))):
                raise error from None
        return made

    def _setting(self, field: str, value: Any, place: Place, *, is_made: bool) -> Any:
        with self._suite.at(place):
            return suite_values.setting(OPTIONS[field], value, is_made=is_made)


def axes_of(model: Model, given: Any) -> Iterable[str]:
    """The axes that the texts of a model use."""
    members = ("script_args",) if model.is_script else ("dim", "shape")
    for _, text in given.texts(*members, "inputs", "fill", "env"):
        try:
            yield from suite_values.axes_in(text)
        except ValueError:
            continue


def _unescaped(text: str) -> str:
    return str(suite_values.filled(text, {}))


def _absolute(rule: str, folder: Path) -> str:
    """A rule of `fill`; the file that it names starts at the suite's folder."""
    return f"@{folder / rule[1:]}" if rule.startswith("@") else rule


def _place_of(error: IsobenchError, one: Combination) -> Place:
    """Where that stands which an `.onnx` file doesn't fit: what the error names, or else the model."""
    given = one.target.given
    for member in ("dim", "shape", "fill"):
        for key in getattr(given, member):
            if f"--{member} {key}" in error.message or (member == "fill" and repr(key) in error.message):
                return given.place(member, key)
    words = (("--fill", "fill"), ("--inputs", "inputs"), ("--shape", "shape"), ("--dim", "dim"))
    places = [given.place(member) for word, member in words if word in error.message]
    return next(filter(None, places), one.target.place)


def _as_toml(hint: str) -> str:
    """A hint with `--dim batch=8` and `--shape x=1,3` as a suite has them: `dim.batch = 8`, `shape.x = [1,3]`."""
    hint = re.sub(r"--dim ([\w-]+)=(\d+)", r"dim.\1 = \2", hint)
    return re.sub(r"--shape ([\w-]+)=([\d,]+)", r"shape.\1 = [\2]", hint)
