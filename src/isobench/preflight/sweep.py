"""A suite -> Sweep: expanded, and checked as a whole before any work starts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from isobench.environments import choice as provider
from isobench.errors import IsobenchError, UsageError
from isobench.executors import registry as executors
from isobench.planning import selection, suite_values
from isobench.planning.models import Model
from isobench.planning.plan import Plan, SweepPlace
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.planning.settings import Settings
from isobench.planning.suite import RANDOM, Given, Suite, SuiteError, SuiteModel, SuiteRuntime, all_of
from isobench.planning.toml_lines import Place
from isobench.preflight import plan, roles
from isobench.preflight.expansion import Combination, Target, expand
from isobench.preflight.filling import Filler, axes_of
from isobench.preflight.roles import Kind, Role
from isobench.runtimes import registry
from isobench.runtimes.registry import Entry
from isobench.sweeps.task import Sweep, Task, keyed
from isobench.system.devices import Device
from isobench.version import VERSION

LOCAL = "local"
MOST_ERRORS = 20


def sweep(
    suite: Suite,
    *,
    name: str = "",
    executor: str | None = None,
    options: Mapping[str, Any] | None = None,
    attempts: int | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Sweep:
    """The frozen plan of a suite: every task is checked as a call of `isobench run` would be; nothing is written.

    `name` is the sweep's, by default SUITE-TIME. `executor`, `options` (over those of the suite's own table) and
    `attempts` replace the suite's. `note` gets a sentence on what was left out.

    Tasks of the executor `local` run on this machine: its CPUs, GPUs and its number of cores count. For other executors
    none of them is checked, and `threads` must be given; where it isn't, it is the option `cpus` of the executor.

    Raises:
        SuiteError: anything in it is wrong: the message has the line, or `details` a line for each error.
        UsageError: the executor is unknown, or an option of it isn't allowed.
    """
    return _Preflight(suite, executor or suite.executor, options or {}, note).sweep(name, attempts or suite.attempts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A combination with everything that its Plan needs."""

    combination: Combination
    model: Model
    choice: RuntimeChoice
    settings: Settings
    rt_args: Mapping[str, Any]
    labels: Mapping[str, str]


class _Preflight:
    """The checks of one suite."""

    def __init__(self, suite: Suite, executor: str, options: Mapping[str, Any], note: Callable[[str], None]) -> None:
        self._suite = suite
        self._executor = executor
        self._options = {**suite.options.get(executor, {}), **options}
        self._note = note
        self._errors: list[SuiteError] = []
        self._roles: dict[str, Role] = {}

    def sweep(self, name: str, attempts: int) -> Sweep:
        suite, now = self._suite, datetime.now(UTC)
        self._check_executor()
        provider.wanted()
        where = self._devices()
        targets = self._targets(where)
        self._refuse_errors()
        combinations = expand(suite, targets, self._reach)
        cpus = str(self._options.get("cpus", "")) if self._executor != LOCAL else ""
        filler = Filler(
            suite,
            self._roles,
            is_here=self._executor == LOCAL,
            threads=int(cpus) if cpus.isdigit() and int(cpus) else None,
        )
        ready = self._without_twins(self._ready(filler, combinations, where))
        self._refuse_errors()
        called = name or f"{suite.name}-{now:%Y%m%dT%H%M%S}"
        return Sweep(
            name=called,
            created_at=now.isoformat(timespec="milliseconds"),
            isobench=VERSION,
            suite=str(suite.path),
            suite_sha256=suite.sha256,
            working_folder=suite.folder,
            tasks=tuple(self._tasks(ready, called)),
            order=suite.order,
            seed=suite.order_seed,
            executor=self._executor,
            options=self._options,
            attempts=attempts,
        )

    @contextmanager
    def _collect(self, place: Place) -> Iterator[None]:
        """Within this, an error is collected, so that those after it are seen as well."""
        try:
            with self._suite.at(place):
                yield
        except SuiteError as error:
            if all(error.message != other.message for other in self._errors):
                self._errors.append(error)
            if len(self._errors) >= MOST_ERRORS:
                self._refuse_errors()

    def _refuse_errors(self) -> None:
        if self._errors:
            raise all_of(self._suite.path, self._errors)

    def _check_executor(self) -> None:
        """Raises:
        SuiteError: the executor that the suite names is unknown, or an option of it isn't allowed.
        UsageError: the one that is given instead is.
        """
        place: Place = ("executor",) if self._executor == self._suite.executor else ()
        if not place:
            executors.make(self._executor, self._options)
            return
        with self._suite.at(place):
            kind = executors.executor_class(self._executor)
        try:
            kind(self._options)
        except UsageError as error:
            table = self._suite.options.get(self._executor, {})
            named = next((key for key in table if key in error.message), None)
            if named is None:  # one that was given over the suite's
                raise
            with self._suite.at((self._executor, named)):
                raise error from None

    def _devices(self) -> dict[str, Device]:
        """The devices by their names."""
        found: dict[str, Device] = {}
        names = self._suite.devices or ("x86",)
        for count, text in enumerate(names):
            place = ("devices", count) if ("devices",) in self._suite.lines else ("device",)
            with self._collect(place):
                if self._executor == LOCAL:
                    found[text] = registry.device(text)
                    plan.check_gpu(found[text])
                else:
                    found[text] = Device.parse(text, families=registry.families())
        return found

    def _targets(self, where: Mapping[str, Device]) -> list[Target]:
        """Every model on every runtime and device, with the axes that are used for it."""
        suite = self._suite
        models = self._models()
        runtimes = {
            id(entry): self._entries(entry.runtimes if entry.runtimes is not None else suite.runtimes, where)
            for entry in suite.models
        }
        if not self._errors:
            self._roles = roles.assign(suite, ((one, each) for found in runtimes.values() for one, _, each in found))
            self._refuse_double_settings()
        return [
            self._with_axes(
                Target(
                    number=number,
                    model=model,
                    given=given,
                    device=device,
                    runtime=runtime,
                    entry=entry,
                    axes={**suite.matrix, **of.matrix},
                    place=of.place,
                )
            )
            for number, (of, model, given) in enumerate(models)
            for device in where
            for runtime, on, entry in runtimes[id(of)]
            if on == device
        ]

    def _models(self) -> list[tuple[SuiteModel, Model, Given]]:
        """The files that the entries of `models` stand for, each with what is given to it."""
        found: list[tuple[SuiteModel, Model]] = []
        unlabelled: list[SuiteError] = []
        for of in self._suite.models:
            with self._collect(of.place):
                try:
                    chosen = selection.select([of.path], labels=self._suite.select_labels, folder=self._suite.folder)
                except IsobenchError as error:
                    if not error.message.startswith("no model has the label"):
                        raise
                    unlabelled.append(self._suite.error(("select-labels",), error.message, hint=error.hint))
                    continue
                found += [(of, model) for model in chosen]
        if unlabelled and not found:
            self._errors.append(unlabelled[0])
        titled = selection.told_apart([model for _, model in found])
        return [
            (of, model, given)
            for (of, _), model, given in zip(found, titled, self._given([of for of, _ in found], titled), strict=True)
        ]

    def _given(self, entries: Sequence[SuiteModel], models: Sequence[Model]) -> list[Given]:
        """What is given to each model: of dimensions and inputs, those that its file has; a script has none."""
        merged = [of.given.over(self._suite.given) for of in entries]
        if not any(given.dim or given.shape for given in merged):
            return merged
        from isobench.builds import sizes

        used: set[Place] = set()
        narrowed = []
        for given, model in zip(merged, models, strict=True):
            names = ([], []) if model.is_script else sizes.names_in(model) or (list(given.dim), list(given.shape))
            dim = {name: size for name, size in given.dim.items() if name in names[0]}
            shape = {name: sizes_ for name, sizes_ in given.shape.items() if name in names[1]}
            used |= {given.place("dim", name) for name in dim} | {given.place("shape", name) for name in shape}
            narrowed.append(replace(given, dim=dim, shape=shape))
        for given in merged:
            for member, what in (("dim", "dynamic dimension"), ("shape", "input")):
                for name in getattr(given, member):
                    if given.place(member, name) not in used:
                        with self._collect(given.place(member, name)):
                            raise self._suite.error(
                                given.place(member, name), f"no .onnx file that it is for has a {what} {name!r}"
                            )
        return narrowed

    def _entries(
        self, runtimes: Sequence[SuiteRuntime], where: Mapping[str, Device]
    ) -> list[tuple[SuiteRuntime, str, Entry]]:
        """Each runtime on each device that it supports."""
        found = []
        for name, device in where.items():
            chosen = runtimes
            if not chosen:
                with self._collect(("devices",)):
                    chosen = [SuiteRuntime(choice=RuntimeChoice(name=registry.default(device)), place=())]
            for one in chosen:
                known = registry.runtimes().get(one.choice.name)
                if known and len(where) > 1 and any(map(known.supports, where.values())) and not known.supports(device):
                    self._note(f"{one.choice} is left out on {name}, which it doesn't support")
                    continue
                with self._collect(one.place):
                    found.append((one, name, registry.get(one.choice, device)))
        return found

    def _refuse_double_settings(self) -> None:
        for name, axis in self._suite.matrix.items():
            role = self._roles[name]
            if role.kind is Kind.SETTING and role.name in self._suite.settings:
                with self._collect(axis.place):
                    raise self._suite.error(
                        axis.place,
                        f"the axis {name!r} sets a setting that [settings] sets, too",
                        hint="Keep one of them.",
                    )

    def _with_axes(self, target: Target) -> Target:
        used = self._reach(target, target.axes)
        return replace(target, axes={name: axis for name, axis in target.axes.items() if name in used})

    def _reach(self, target: Target, names: Iterable[str]) -> set[str]:
        """Those of some axes that are used for a target."""
        suite = self._suite
        chosen = target.runtime.choice
        values = (*suite.settings.values(), *suite.rt_args.values(), *chosen.arguments.values())
        texts = {*axes_of(target.model, target.given), *roles.axes_in(roles.texts_in(values))}
        return {
            name
            for name in names
            if (self._roles[name].kind is Kind.TEXT and name in texts)
            or self._roles[name].kind is Kind.SETTING
            or self._roles[name].concerns(chosen, target.entry)
        }

    def _ready(self, filler: Filler, combinations: Iterable[Combination], where: Mapping[str, Device]) -> list[_Ready]:
        """The combinations that are right, with everything that their Plans need."""
        found = []
        for one in combinations:
            with self._collect(one.place):
                made = _Ready(
                    combination=one,
                    model=filler.model(one),
                    choice=filler.choice(one, where[one.target.device]),
                    settings=filler.settings(one),
                    rt_args=filler.rt_args(one),
                    labels=filler.labels(one),
                )
                filler.check(one, made.model, one.target.entry)
                found.append(made)
        return found

    def _without_twins(self, ready: Sequence[_Ready]) -> list[_Ready]:
        """Without those that would measure what another one measures."""
        found: dict[str, _Ready] = {}
        for one in ready:
            found.setdefault(repr((one.choice, *self._shared(one))), one)
        left_out = (
            [one for one in ready if all(one is not each for each in found.values())] if len(found) < len(ready) else []
        )
        if left_out:
            first = left_out[0]
            self._note(
                f"{len(left_out)} of {len(ready)} tasks are left out, because others measure the same: "
                f"{first.model.name} on {first.choice}{'' if len(left_out) == 1 else ', ...'}"
            )
        return list(found.values())

    def _tasks(self, ready: Sequence[_Ready], called: str) -> list[Task]:
        suite = self._suite
        command = plan.command()
        groups = self._interleaved(ready) if suite.interleave else [[one] for one in ready]
        tasks = [
            self._task(group, SweepPlace(sweep=called, task="", repeat=repeat), command)
            for repeat in range(1, suite.repeat + 1)
            for group in groups
        ]
        if suite.order == RANDOM:
            random.Random(suite.order_seed).shuffle(tasks)  # noqa: S311 - an order, not a secret
        return tasks

    def _interleaved(self, ready: Sequence[_Ready]) -> list[list[_Ready]]:
        """The combinations of one model that differ in the runtime and its arguments only."""
        groups: dict[str, list[_Ready]] = {}
        for one in ready:
            groups.setdefault(repr(self._shared(one)), []).append(one)
        return list(groups.values())

    @staticmethod
    def _shared(one: _Ready) -> tuple[object, ...]:
        """Everything that decides what is measured, but the runtime."""
        return one.combination.target.device, replace(one.model, labels={}, title=""), one.settings, one.rt_args

    def _task(self, group: Sequence[_Ready], place: SweepPlace, command: tuple[str, ...]) -> Task:
        first = group[0]
        axes = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in first.combination.values.items()
            if all(suite_values.is_same(one.combination.values.get(name), value) for one in group)
        }
        labels = {key: text for key, text in first.labels.items() if all(one.labels.get(key) == text for one in group)}
        return keyed(
            Task(
                plan=Plan(
                    models=(first.model,),
                    runtimes=tuple(one.choice for one in group),
                    device=first.combination.target.device,
                    settings=first.settings,
                    rt_args=first.rt_args,
                    interleaved=self._suite.interleave,
                    command=command,
                    sweep=replace(place, axes=axes, labels=labels),
                )
            )
        )
