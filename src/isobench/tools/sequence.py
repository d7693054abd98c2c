"""Sequence: tools in their order. It's checked from end to end before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Words
from dataclasses import dataclass, replace
from typing import Any

from isobench.errors import UsageError
from isobench.planning.models import Model, Step
from isobench.runtimes.keywords import bind
from isobench.tools.base import State, Tool, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """Tools, the first first: `Sequence(tools=[Discover(), ExportPytorch(opset=17), ConvertFp16()])`."""

    tools: Iterable[Tool]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tools", tuple(self.tools))

    def __iter__(self) -> Iterator[Tool]:
        return iter(self.tools)

    def check(self, model: Model) -> None:
        """Raises:
        UsageError: a tool can't come where it stands; nothing has run yet.
        """
        facts = frozenset({"script" if model.is_script else "onnx-file"})
        for tool in self.tools:
            try:
                facts = tool.check(facts)
            except UsageError as error:
                raise UsageError(f"{model.path.name}: {error.message}", hint=error.hint) from None

    def preparing(self, model: Model) -> Sequence:
        """The tools before the first `benchmark`, begun as suits the model: it may be a script, or an `.onnx` file."""
        from isobench.tools.discover import Discover
        from isobench.tools.export_pytorch import ExportPytorch
        from isobench.tools.load_onnx import LoadOnnx

        tools: list[Tool] = []
        for tool in self.tools:
            if tool.name == "benchmark":
                break
            if isinstance(tool, Discover | ExportPytorch) and not model.is_script:
                tools += [] if any(isinstance(one, LoadOnnx) for one in tools) else [LoadOnnx()]
            elif isinstance(tool, LoadOnnx) and model.is_script:
                tools += [Discover(), ExportPytorch()]
            else:
                tools.append(tool)
        return Sequence(tools=tools)


def advance(state: State, tools: Words[Tool], work: Work) -> Iterator[State]:
    """The state after each tool, with that step among its steps.

    Raises:
        IsobenchError: a tool can't do its work.
    """
    for place, tool in enumerate(tools):
        upcoming = tuple(later.name for later in tools[place + 1 :])
        step = Step(tool=tool.name, options=tool.options(), alters=tool.alters)
        state = tool.run(replace(state, upcoming=upcoming, steps=(*state.steps, step)), work)
        yield state


def parse(words: Words[str], tools: Mapping[str, type[Tool]], sequences: Mapping[str, Sequence]) -> Sequence:
    """What the user typed: names of tools, each with its own options after it, and names of whole sequences.

    Raises:
        UsageError: a name isn't known, or an option isn't one of the tool's.
    """
    made: list[Tool] = []
    rest = list(words)
    while rest:
        name = rest.pop(0)
        if name in sequences:
            if rest and rest[0].startswith("-"):
                raise UsageError(f"the sequence {name} takes no options: {rest[0]}", hint="Name its tools one by one.")
            made += sequences[name]
            continue
        if name not in tools:
            raise unknown(name, [*tools, *sequences])
        given = _options(rest, name, {*tools, *sequences})
        made.append(tools[name](**bind(tools[name], given, who=name)))
    if not made:
        raise UsageError("a sequence is at least one tool", hint=f"The tools are: {', '.join(tools)}.")
    return Sequence(tools=made)


def unknown(name: str, known: Words[str]) -> UsageError:
    """The error for a tool that isn't there, with the closest that is."""
    from isobench.system.names import did_you_mean

    meant = did_you_mean(name, known)
    return UsageError(f"there is no tool {name!r}{meant}", hint=f"The tools and sequences are: {', '.join(known)}.")


def _options(rest: list[str], tool: str, names: set[str]) -> dict[str, Any]:
    """Take the options that stand next: `--name value`, `--name=value`, `--name v1 v2`, `--flag`."""
    found: dict[str, Any] = {}
    while rest and rest[0].startswith("-"):
        word, equals, first = rest.pop(0).partition("=")
        name = word.removeprefix("--").replace("-", "_")
        if not word.startswith("--") or not name.isidentifier():
            raise UsageError(f"{tool} takes no option {word!r}", hint=f"See isobench sequence {tool} -h.")
        values = [first] if equals else []
        while rest and not rest[0].startswith("--") and rest[0] not in names:
            values.append(rest.pop(0))
        if name in found:
            raise UsageError(f"{tool}: {word} is given twice")
        found[name] = True if not values else values[0] if len(values) == 1 else values
    return found
