"""The matrix of a suite: every combination of a model, a runtime, a device and the values of the axes that they use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

from isobench.planning.models import Model
from isobench.planning.suite import Axis, Condition, Given, Suite, SuiteError, SuiteRuntime
from isobench.planning.suite_values import is_same, shown
from isobench.planning.toml_lines import Place
from isobench.preflight.roles import names_of
from isobench.runtimes.registry import Entry
from isobench.system.names import did_you_mean

MOST = 100_000
"""Combinations that a suite may have; more are taken for a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """One model on one runtime on one device. `axes` are the axes that are used for it, in the order of the matrix.

    `place` is where the model stands; `number` counts the models, so that two entries for one file differ.
    """

    number: int
    model: Model
    given: Given
    device: str
    runtime: SuiteRuntime
    entry: Entry
    axes: Mapping[str, Axis]
    place: Place

    def is_meant(self, condition: Condition, folder_name: str, *labels: str) -> bool:
        """Does a condition's model, runtime and device match? A pattern that isn't given matches everything.

        `labels` are further names of the runtime.
        """
        path = str(self.model.path)
        models = {self.model.name, self.model.path.name, path, str(self.model), path.removeprefix(folder_name)}
        models.add(str(self.model).removeprefix(folder_name))
        return (
            _matches(condition.models, models)
            and _matches(condition.runtimes, names_of(self.runtime.choice) | set(labels))
            and _matches(condition.devices, {self.device, self.device.partition("::")[0]})
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Combination:
    """A target with a value for each of its axes; `place` is that of its model, or of what includes it."""

    target: Target
    values: Mapping[str, Any]
    place: Place
    axes: Mapping[str, Axis]


def expand(
    suite: Suite,
    targets: Sequence[Target],
    reach: Callable[[Target, Iterable[str]], set[str]],
    label: Callable[[Combination], str],
) -> list[Combination]:
    """The combinations of the matrix in order, without those that are excluded, and then those that are included.

    The order: models as written, then the matrix (its last axis changes fastest), and the runtimes side by side.
    `reach` returns which of some axes a target uses, `label` what a combination's runtime is called in results.

    Raises:
        SuiteError: there are none; or too many; or an `exclude` or `include` has no effect.
    """
    made: list[Combination] = []
    count = sum(math.prod(len(axis.values) for axis in target.axes.values()) for target in targets)
    if count > MOST:
        raise suite.error(("matrix",), f"the matrix has {count:,} combinations; a suite may have {MOST:,}")
    for group in _groups(targets):
        made += _in_order(group, {}, ())
    remaining = _without_excluded(suite, made, label)
    remaining += _included(suite, targets, reach)
    if not remaining:
        raise suite.error(("exclude",), f"nothing is left to measure: all {len(made)} combinations are excluded")
    return remaining


def _groups(targets: Sequence[Target]) -> Iterator[list[Target]]:
    """The targets of each model on each device, with all of its runtimes."""
    found: dict[tuple[int, str], list[Target]] = {}
    for target in targets:
        found.setdefault((target.number, target.device), []).append(target)
    yield from found.values()


def _in_order(group: Sequence[Target], further: Mapping[str, Axis], place: Place) -> list[Combination]:
    """The combinations of one model: those of all runtimes for one point of the matrix stand side by side.

    `further` are axes that replace the targets' own, or are added to them; `place` is (), or where these stand.
    """
    found: list[tuple[tuple[int, ...], Combination]] = []
    names = list(dict.fromkeys([*(name for target in group for name in target.axes), *further]))
    for target in group:
        axes = {**target.axes, **further}
        for counts in product(*(range(len(axis.values)) for axis in axes.values())):
            values = {name: axis.values[count] for (name, axis), count in zip(axes.items(), counts, strict=True)}
            chosen = dict(zip(axes, counts, strict=True))
            combination = Combination(target=target, values=values, place=place or target.place, axes=axes)
            found.append((tuple(chosen.get(name, 0) for name in names), combination))
    return [combination for _, combination in sorted(found, key=lambda one: one[0])]


def _without_excluded(
    suite: Suite, made: Sequence[Combination], label: Callable[[Combination], str]
) -> list[Combination]:
    excluded: set[int] = set()
    for condition in suite.exclude:
        _check_axes(suite, condition, made)
        matching = {id(one) for one in made if _is_excluded(one, condition, f"{suite.folder}/", label)}
        if not matching:
            raise _without_effect(suite, condition, made)
        excluded |= matching
    return [one for one in made if id(one) not in excluded]


def _is_excluded(one: Combination, condition: Condition, folder: str, label: Callable[[Combination], str]) -> bool:
    for name, axis in condition.axes.items():
        if name not in one.values or not any(is_same(one.values[name], value) for value in axis.values):
            return False
    return one.target.is_meant(condition, folder, *([label(one)] if condition.runtimes else []))


def _check_axes(suite: Suite, condition: Condition, made: Sequence[Combination]) -> None:
    known = dict.fromkeys(name for one in made for name in one.values)
    for name, axis in condition.axes.items():
        if name not in known:
            keys = ["model", "runtime", "device", *known]
            raise suite.error(
                axis.place,
                f"no axis is called {name!r}{did_you_mean(name, keys)}",
                hint=f"The keys are: {', '.join(keys)}.",
            )


def _without_effect(suite: Suite, condition: Condition, made: Sequence[Combination]) -> SuiteError:
    """The error for an `exclude` that matches nothing, with the values that there are."""
    for name, axis in condition.axes.items():
        there = [one.values[name] for one in made if name in one.values]
        if not any(is_same(value, other) for value in axis.values for other in there):
            values = dict.fromkeys(map(shown, there))
            return suite.error(axis.place, f"this excludes nothing: {name} has the values {', '.join(values)}")
    targets = list(dict.fromkeys(one.target for one in made))
    return suite.error(condition.place, f"this excludes nothing: no combination matches. {_what_is_there(targets)}")


def _what_is_there(targets: Sequence[Target]) -> str:
    kinds = {
        "Models": dict.fromkeys(target.model.name for target in targets),
        "Runtimes": dict.fromkeys(str(target.runtime.choice) for target in targets),
        "Devices": dict.fromkeys(target.device for target in targets),
    }
    return " ".join(f"{what}: {', '.join([*names][:20])}." for what, names in kinds.items())


def _included(
    suite: Suite, targets: Sequence[Target], reach: Callable[[Target, Iterable[str]], set[str]]
) -> list[Combination]:
    """What each `include` adds: a matrix of its own, whose axes replace those of the suite's."""
    found: list[Combination] = []
    for condition in suite.include:
        meant = [
            target
            for target in targets
            if target.is_meant(condition, f"{suite.folder}/") and reach(target, condition.axes) == set(condition.axes)
        ]
        if not meant:
            raise suite.error(
                condition.place,
                "this includes nothing: no model and runtime match it, or use all of its axes",
                hint=_what_is_there(targets),
            )
        for group in _groups(meant):
            found += _in_order(group, condition.axes, condition.place)
    return found


def _matches(patterns: Sequence[str], names: Iterable[str]) -> bool:
    return not patterns or any(name == pattern or fnmatchcase(name, pattern) for name in names for pattern in patterns)
