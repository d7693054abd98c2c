"""What each axis of a suite's matrix is for: it fills `{axis}` in texts, sets a setting, or an argument of runtimes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cache
from itertools import chain

from isobench.planning import suite_values
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.planning.settings import OPTIONS
from isobench.planning.suite import Axis, Suite, SuiteRuntime
from isobench.planning.toml_lines import Place
from isobench.record import record
from isobench.runtimes.base import BaseRT
from isobench.runtimes.keywords import keywords
from isobench.runtimes.registry import Entry
from isobench.system.names import did_you_mean

SETTINGS = {suite_values.name(option): field for field, option in OPTIONS.items()}
"""The fields of `Settings` by their names in a suite: `min-time` -> `min_time_s`."""


class Kind(StrEnum):
    """What the values of an axis become."""

    TEXT = "text"
    SETTING = "setting"
    ARGUMENT = "argument"


@record(frozen=True, slots=True, kw_only=True)
class Role:
    """What an axis is for. `name` is the setting's field, or the argument; `runtime` (or "") the only one to get it."""

    kind: Kind
    name: str
    runtime: str = ""

    def concerns(self, chosen: RuntimeChoice, entry: Entry) -> bool:
        """Does a runtime get this argument? One that was chosen with a value of its own for it doesn't."""
        if self.kind is not Kind.ARGUMENT or self.name in chosen.arguments:
            return False
        if self.runtime:
            return self.runtime in names_of(chosen)
        return self.name in arguments_of(entry)


def names_of(chosen: RuntimeChoice) -> set[str]:
    """The names by which a suite may refer to a runtime: `ort`, `ort@mine`, `ort@mine:spinning=false`."""
    return {chosen.name, f"{chosen.name}@{chosen.environment}".removesuffix("@"), str(chosen)}


def arguments_of(entry: Entry) -> list[str]:
    """The arguments that a runtime declares."""
    return list(_declared(entry.cls))


@cache
def _declared(runtime: type[BaseRT]) -> tuple[str, ...]:
    return tuple(keyword.name for keyword in keywords(runtime)[0])


def assign(suite: Suite, runtimes: Iterable[tuple[SuiteRuntime, Entry]]) -> dict[str, Role]:
    """The role of each axis of the suite, by its name.

    Raises:
        SuiteError: an axis is used nowhere, or could be a setting as well as an argument.
    """
    chosen = [(one.choice, entry) for one, entry in runtimes]
    used = set(axes_in(chain(*(texts for _, texts in all_texts(suite)))))
    first: dict[str, Axis] = {}
    for axis in all_axes(suite):
        first.setdefault(axis.name, axis)
    return {name: _role(suite, axis, used, chosen) for name, axis in first.items()}


def all_axes(suite: Suite) -> Iterator[Axis]:
    """Every axis of the suite, its models and of what it includes."""
    yield from suite.matrix.values()
    for model in suite.models:
        yield from model.matrix.values()
    for condition in suite.include:
        yield from condition.axes.values()


def all_texts(suite: Suite) -> Iterator[tuple[Place, list[str]]]:
    """The texts of the suite that may use axes, but labels, with their places."""
    members = ("script_args", "dim", "shape", "inputs", "fill", "env")
    for given in (suite.given, *(model.given for model in suite.models)):
        yield from ((given.place(*key), [text]) for key, text in given.texts(*members))
    for name, value in suite.settings.items():
        yield ("settings", suite_values.name(OPTIONS[name])), texts_in([value])
    yield ("rt-args",), texts_in(suite.rt_args.values())
    for one in (*suite.runtimes, *(each for model in suite.models for each in model.runtimes or ())):
        yield one.place, texts_in(one.choice.arguments.values())


def texts_in(values: Iterable[object]) -> list[str]:
    """The texts among values that use axes."""
    return [str(one) for one in values if suite_values.has_axis(one)]


def axes_in(texts: Iterable[str]) -> Iterator[str]:
    """The axes that texts use; a text with a wrong brace is reported where it is filled."""
    for text in texts:
        try:
            yield from suite_values.axes_in(text)
        except ValueError:
            continue


def _role(suite: Suite, axis: Axis, used: Collection[str], chosen: list[tuple[RuntimeChoice, Entry]]) -> Role:
    prefix, dot, name = axis.name.rpartition(".")
    if dot and axis.name not in used:
        return _qualified(suite, axis, prefix, name, chosen)
    if axis.name in used:
        return Role(kind=Kind.TEXT, name=axis.name)
    argument = axis.name.replace("-", "_")
    takers = [one.name for one, entry in chosen if argument in arguments_of(entry)]
    if axis.name in SETTINGS and takers:
        raise suite.error(
            axis.place,
            f"the axis {axis.name!r} is ambiguous: a setting, and an argument of {takers[0]}",
            hint=f'Call it "settings.{axis.name}" or "{takers[0]}.{argument}", or use {{{axis.name}}} in a text.',
        )
    if axis.name in SETTINGS:
        return Role(kind=Kind.SETTING, name=SETTINGS[axis.name])
    if takers:
        return Role(kind=Kind.ARGUMENT, name=argument)
    raise _unused(suite, axis, chosen)


def _qualified(suite: Suite, axis: Axis, prefix: str, name: str, chosen: list[tuple[RuntimeChoice, Entry]]) -> Role:
    """The role of `settings.threads`, `args.spinning` or `ort.spinning`."""
    if prefix == "settings":
        plain = name.replace("_", "-")
        if plain not in SETTINGS:
            raise suite.error(
                axis.place,
                f"the axis {axis.name!r}: there is no setting {name!r}{did_you_mean(plain, SETTINGS)}",
                hint=f"The settings are: {', '.join(SETTINGS)}.",
            )
        return Role(kind=Kind.SETTING, name=SETTINGS[plain])
    argument = name.replace("-", "_")
    among = [(one, entry) for one, entry in chosen if prefix == "args" or prefix in names_of(one)]
    if not among:
        known = dict.fromkeys(("settings", "args", *(one.name for one, _ in chosen)))
        raise suite.error(
            axis.place,
            f"the axis {axis.name!r} belongs to no runtime of this suite{did_you_mean(prefix, known)}",
            hint=f"In front of the dot there may be: {', '.join(known)}.",
        )
    if not any(argument in arguments_of(entry) or keywords(entry.cls)[1] for _, entry in among):
        lists = {one.name: arguments_of(entry) for one, entry in among}
        meant = did_you_mean(argument, chain(*lists.values()))
        raise suite.error(
            axis.place,
            f"the axis {axis.name!r}: {' and '.join(lists)} has no argument {argument!r}{meant}",
            hint=" ".join(f"{of} has: {', '.join(names) or 'none'}." for of, names in lists.items()),
        )
    return Role(kind=Kind.ARGUMENT, name=argument, runtime="" if prefix == "args" else prefix)


def _unused(suite: Suite, axis: Axis, chosen: list[tuple[RuntimeChoice, Entry]]) -> Exception:
    takes = {one.name: arguments_of(entry) for one, entry in chosen}
    listed = "; ".join(f"{name}: {', '.join(names)}" for name, names in takes.items() if names)
    meant = did_you_mean(axis.name, [*SETTINGS, *chain(*takes.values())])
    return suite.error(
        axis.place,
        f"the axis {axis.name!r} is used nowhere{meant}",
        hint=f"Use {{{axis.name}}} in script-args, dim, shape, inputs, fill, env, settings or arguments of runtimes; "
        f"or call it like a setting ({', '.join(SETTINGS)}) or an argument of a runtime ({listed or 'none'}).",
    )


def of_kind(roles: Mapping[str, Role], *kinds: Kind) -> set[str]:
    """The axes of some kinds."""
    return {name for name, role in roles.items() if role.kind in kinds}
