"""A suite -> Sweep: expanded, and checked as a whole before any work starts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from isobench.environments import choice as provider
from isobench.errors import UsageError
from isobench.executors import registry as executors
from isobench.planning import suite_values
from isobench.planning.models import Model
from isobench.planning.plan import Plan, SweepPlace
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.planning.settings import Settings
from isobench.planning.suite import RANDOM, Suite
from isobench.planning.toml_lines import Place
from isobench.preflight import plan
from isobench.preflight.collected import Errors
from isobench.preflight.expansion import MOST, Combination, expand
from isobench.preflight.filling import Filler
from isobench.preflight.targets import Targets
from isobench.record import record
from isobench.runtimes import registry
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


@record(frozen=True, slots=True, kw_only=True)
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
        self._errors = Errors(suite)

    def sweep(self, name: str, attempts: int) -> Sweep:
        suite, now = self._suite, datetime.now(UTC)
        self._check_executor()
        provider.wanted()
        where = self._devices()
        targets = Targets(suite, where, self._errors, self._note)
        combinations = expand(suite, targets.all(), targets.used, targets.label)
        is_here = self._executor == LOCAL
        cpus = "" if is_here else str(self._options.get("cpus", ""))
        threads = int(cpus) if cpus.isdigit() and int(cpus) else None
        filler = Filler(suite, targets.roles, is_here=is_here, threads=threads)
        ready = self._without_twins(self._ready(filler, combinations, where))
        self._errors.refuse()
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
            with self._errors.collect(place):
                if self._executor == LOCAL:
                    found[text] = registry.device(text)
                    plan.check_gpu(found[text])
                else:
                    found[text] = Device.parse(text, families=registry.families())
        return found

    def _ready(self, filler: Filler, combinations: Iterable[Combination], where: Mapping[str, Device]) -> list[_Ready]:
        """The combinations that are right, with everything that their Plans need."""
        found = []
        for one in combinations:
            with self._errors.collect(one.place):
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
            found.setdefault(repr((str(one.choice), *self._shared(one))), one)
        remaining = {id(one) for one in found.values()}
        left_out = [one for one in ready if id(one) not in remaining]
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
        if len(groups) * suite.repeat > MOST:
            raise suite.error(("repeat",), f"these are {len(groups) * suite.repeat:,} tasks; a suite may have {MOST:,}")
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
