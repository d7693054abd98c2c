"""Sequence: tools in order, all of them checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Words
from dataclasses import replace
from typing import Any

from isobench.errors import UsageError
from isobench.planning.models import Model, Step
from isobench.record import record
from isobench.runtimes.keywords import bind
from isobench.tools.base import State, Tool, Work


@record(frozen=True, slots=True, kw_only=True)
class Sequence:
    """Tools in order: `Sequence(tools=[Discover(), ExportPytorch(opset=17), ConvertFp16()])`."""

    tools: Iterable[Tool]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tools", tuple(self.tools))

    def __iter__(self) -> Iterator[Tool]:
        return iter(self.tools)

    def check(self, model: Model) -> None:
        """Raises:
        UsageError: a tool is in the wrong place; nothing has run yet.
        """
        facts = frozenset({"script" if model.is_script else "onnx-file"})
        for tool in self.tools:
            try:
                facts = tool.check(facts)
            except UsageError as error:
                raise UsageError(f"{model.path.name}: {error.message}", hint=error.hint) from None

    def preparing(self, model: Model) -> Sequence:
        """The tools before the first `benchmark`, with a start that suits the model: a script or an `.onnx` file."""
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
    """The state after each tool; `steps` includes that tool.

    Raises:
        IsobenchError: a tool failed.
    """
    for place, tool in enumerate(tools):
        upcoming = tuple(later.name for later in tools[place + 1 :])
        step = Step(tool=tool.name, options=tool.options(), alters=tool.alters)
        state = tool.run(replace(state, upcoming=upcoming, steps=(*state.steps, step)), work)
        yield state


def parse(words: Words[str], tools: Mapping[str, type[Tool]], sequences: Mapping[str, Sequence]) -> Sequence:
    """The sequence that the user typed: names of tools, each followed by its options, and names of sequences.

    Raises:
        UsageError: a name is unknown, or an option.
    """
    made: list[Tool] = []
    rest = list(words)
    while rest:
        name = rest.pop(0)
        if name in sequences:
            if rest and rest[0].startswith("-"):
                raise UsageError(
                    f"the sequence {name} has no option {rest[0]}", hint="List its tools one by one instead."
                )
            made += sequences[name]
            continue
        if name not in tools:
            raise unknown(name, [*tools, *sequences])
        given = _options(rest, name, {*tools, *sequences})
        made.append(tools[name](**bind(tools[name], given, who=name)))
    if not made:
        raise UsageError("a sequence needs at least one tool", hint=f"The tools are: {', '.join(tools)}.")
    return Sequence(tools=made)


def unknown(name: str, known: Words[str]) -> UsageError:
    """The error for an unknown tool, with the closest known one."""
    from isobench.system.names import did_you_mean

    meant = did_you_mean(name, known)
    return UsageError(f"unknown tool {name!r}{meant}", hint=f"The tools and sequences are: {', '.join(known)}.")


def _options(rest: list[str], tool: str, names: set[str]) -> dict[str, Any]:
    """Take the options from the front of `rest`: `--name value`, `--name=value`, `--name v1 v2`, `--flag`."""
    found: dict[str, Any] = {}
    while rest and rest[0].startswith("-"):
        word, equals, first = rest.pop(0).partition("=")
        name = word.removeprefix("--").replace("-", "_")
        if not word.startswith("--") or not name.isidentifier():
            raise UsageError(f"{tool} has no option {word!r}", hint=f"See isobench sequence {tool} -h.")
        values = [first] if equals else []
        while rest and not rest[0].startswith("--") and rest[0] not in names:
            values.append(rest.pop(0))
        if name in found:
            raise UsageError(f"{tool}: {word} is given twice")
        found[name] = True if not values else values[0] if len(values) == 1 else values
    return found
