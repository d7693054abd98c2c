"""Every model of a suite on every runtime and device, with the axes of the matrix that are used for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from isobench.errors import IsobenchError
from isobench.planning import selection
from isobench.planning.models import Model
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.planning.suite import Axis, Given, Suite, SuiteModel, SuiteRuntime
from isobench.planning.toml_lines import Place
from isobench.preflight import roles
from isobench.preflight.collected import Errors
from isobench.preflight.expansion import Combination, Target
from isobench.preflight.filling import axes_of
from isobench.preflight.roles import Kind, Role
from isobench.record import record
from isobench.runtimes import registry
from isobench.runtimes.registry import Entry
from isobench.system.devices import Device


@record(frozen=True, slots=True, kw_only=True)
class _File:
    """One file of an entry of `models`, with what is given to it."""

    entry: SuiteModel
    model: Model
    given: Given


class Targets:
    """The targets of one suite. `roles`: what its axes are for."""

    def __init__(self, suite: Suite, where: Mapping[str, Device], errors: Errors, note: Callable[[str], None]) -> None:
        self._suite = suite
        self._where = where
        self._errors = errors
        self._note = note
        self.roles: dict[str, Role] = {}

    def all(self) -> list[Target]:
        """Every target, in the order in which they are written.

        Raises:
            SuiteError: a model, a runtime or an axis is wrong; all errors are listed.
        """
        suite = self._suite
        files = self._files()
        is_shared = bool(suite.runtimes) or any(entry.runtimes is None for entry in suite.models)
        of_all = self._runtimes(suite.runtimes) if is_shared else []
        runtimes = {
            id(entry): of_all if entry.runtimes is None else self._runtimes(entry.runtimes) for entry in suite.models
        }
        self._errors.refuse()
        self.roles = roles.assign(suite, ((one, entry) for found in runtimes.values() for one, _, entry in found))
        self._refuse_double_settings()
        found = [
            self._with_axes(
                Target(
                    number=number,
                    model=file.model,
                    given=file.given,
                    device=device,
                    runtime=runtime,
                    entry=entry,
                    axes={**suite.matrix, **file.entry.matrix},
                    place=file.entry.place,
                )
            )
            for number, file in enumerate(files)
            for device in self._where
            for runtime, on, entry in runtimes[id(file.entry)]
            if on == device
        ]
        self._refuse_unused(found)
        self._errors.refuse()
        return found

    def used(self, target: Target, names: Iterable[str]) -> set[str]:
        """Those of some axes that are used for a target."""
        suite, chosen = self._suite, target.runtime.choice
        values = (*suite.settings.values(), *suite.rt_args.values(), *chosen.arguments.values())
        texts = {*axes_of(target.model, target.given), *roles.axes_in(roles.texts_in(values))}
        return {
            name
            for name in names
            if (self.roles[name].kind is Kind.TEXT and name in texts)
            or self.roles[name].kind is Kind.SETTING
            or self.roles[name].concerns(chosen, target.entry)
        }

    def label(self, one: Combination) -> str:
        """What the runtime of a combination is called in results: `ort:spinning=false`."""
        choice = one.target.runtime.choice
        added = {
            self.roles[name].name: value
            for name, value in one.values.items()
            if self.roles[name].concerns(choice, one.target.entry)
        }
        return str(replace(choice, arguments={**choice.arguments, **added}))

    def _files(self) -> list[_File]:
        """The files that the entries of `models` stand for; those with a wrong entry are left out."""
        suite = self._suite
        found: list[tuple[SuiteModel, Model]] = []
        unlabelled: list[IsobenchError] = []
        for entry in suite.models:
            with self._errors.collect(entry.place):
                try:
                    chosen = selection.select([entry.path], labels=suite.select_labels, folder=suite.folder)
                except selection.LabelError as error:
                    unlabelled.append(error)  # another entry's models may have them
                else:
                    found += [(entry, model) for model in chosen]
        if unlabelled and not found and not self._errors:
            with self._errors.collect(("select-labels",)):
                raise unlabelled[0]
        titled = selection.distinguished([model for _, model in found])
        return self._sized(
            [
                _File(entry=entry, model=model, given=entry.given.over(suite.given))
                for (entry, _), model in zip(found, titled, strict=True)
            ]
        )

    def _sized(self, files: Sequence[_File]) -> list[_File]:
        """Each file with those of the sizes that are given to it that it has a use for; a script has none."""
        if not any(file.given.dim or file.given.shape for file in files):
            return list(files)
        from isobench.builds import sizes

        used: set[Place] = set()
        known: dict[Place, set[str]] = {}
        narrowed = []
        for file in files:
            values: dict[str, dict[str, Any]] = {"dim": {}, "shape": {}}
            names = ([], []) if file.model.is_script else sizes.names_in(file.model)
            for member, own in zip(values, names or (None, None), strict=True):
                for name, value in getattr(file.given, member).items():
                    place = file.given.place(member, name)
                    known.setdefault(place, set()).update(own or ())
                    if own is None or name in own:
                        values[member][name] = value
                        used.add(place)
            narrowed.append(replace(file, given=replace(file.given, dim=values["dim"], shape=values["shape"])))
        for place in known.keys() - used:
            self._refuse_size(place, known[place])
        return narrowed

    def _refuse_size(self, place: Place, known: set[str]) -> None:
        *_, member, name = place
        what = "a dynamic dimension" if member == "dim" else "an input"
        with self._errors.collect(place):
            raise self._suite.error(
                place,
                f"no .onnx file that this is for has {what} {name!r}",
                hint=f"There are: {', '.join(sorted(known))}." if known else "",
            )

    def _runtimes(self, chosen: Sequence[SuiteRuntime]) -> list[tuple[SuiteRuntime, str, Entry]]:
        """Each runtime on each device that it supports; without any, the default one of each device."""
        found = []
        for name, device in self._where.items():
            for one in chosen or self._default(device):
                if self._is_for_another(one, device):
                    self._note(f"{one.choice} is left out on {name}, which it doesn't support")
                    continue
                with self._errors.collect(one.place):
                    found.append((one, name, registry.get(one.choice, device)))
        return found

    def _default(self, device: Device) -> list[SuiteRuntime]:
        found: list[SuiteRuntime] = []
        with self._errors.collect(("devices",)):
            found.append(SuiteRuntime(choice=RuntimeChoice(name=registry.default(device)), place=()))
        return found

    def _is_for_another(self, one: SuiteRuntime, device: Device) -> bool:
        """Does it support another device of the suite, but not this one?"""
        entry = registry.runtimes().get(one.choice.name)
        return entry is not None and not entry.supports(device) and any(map(entry.supports, self._where.values()))

    def _refuse_double_settings(self) -> None:
        for name, axis in self._suite.matrix.items():
            role = self.roles[name]
            if role.kind is Kind.SETTING and role.name in self._suite.settings:
                self._errors.add(
                    self._suite.error(
                        axis.place,
                        f"the axis {name!r} sets a setting that [settings] sets, too",
                        hint="Keep one of them.",
                    )
                )

    def _refuse_unused(self, found: Sequence[Target]) -> None:
        """Refuse an axis that no target uses: one of the suite's, or a model's own."""
        tables: list[tuple[Mapping[str, Axis], list[Target]]] = [(self._suite.matrix, list(found))]
        tables += [(one.matrix, [each for each in found if each.place == one.place]) for one in self._suite.models]
        for axes, targets in tables:
            for name, axis in axes.items() if targets else ():
                if not any(name in target.axes for target in targets):
                    whom = "no model uses it" if axes is self._suite.matrix else "this model doesn't use it"
                    self._errors.add(self._suite.error(axis.place, f"the axis {name!r} has no effect: {whom}"))

    def _with_axes(self, target: Target) -> Target:
        used = self.used(target, target.axes)
        return replace(target, axes={name: axis for name, axis in target.axes.items() if name in used})
