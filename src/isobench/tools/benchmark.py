"""benchmark: measure the builds of the tools before it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from isobench.errors import UsageError
from isobench.planning.setting_values import READERS
from isobench.planning.settings import BUILD_OPTIONS, OPTIONS, Option
from isobench.runtimes import registry
from isobench.tools.base import State, Tool, Work, require

_BY_KEYWORD = {
    option.flag.removeprefix("--").replace("-", "_"): option
    for option in OPTIONS.values()
    if option.name not in BUILD_OPTIONS
}
"""The options for measuring, by the keywords of the tool: `--min-time` is `min_time`."""

_TYPES: dict[str, Any] = {"integer": int, "seconds": float, "percent": str, "switch": bool, "list": str}


def _signature() -> inspect.Signature:
    """The signature that `runtimes.keywords` reads: the options of `Settings`, with types and defaults."""
    known: list[tuple[str, Any, Any]] = [("runtime", list[str], []), ("device", str, "x86"), ("rt_args", list[str], [])]
    for name, option in _BY_KEYWORD.items():
        kind = Literal[option.choices] if option.choices else _TYPES[option.kind]
        optional = option.unset or option.kind == "list"
        known.append((name, kind | None if optional else kind, None if optional else option.default))
    return inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
            for name, kind, default in known
        ]
    )


def _value(option: Option, given: Any) -> Any:
    if option.kind not in READERS or not isinstance(given, str):
        return given
    try:
        return READERS[option.kind](given)
    except ValueError as error:
        raise UsageError(f"benchmark: {option.flag} {error}") from None


class Benchmark(Tool):
    """Measure each model on each runtime, in its environment, and save the results.

    The options are those of `isobench run`, which `isobench benchmark -h` explains.
    """

    name = "benchmark"
    needs = ("models",)
    gives = ("results",)
    __signature__ = _signature()

    def __init__(
        self,
        *,
        runtime: Iterable[str] = (),
        device: str = "x86",
        rt_args: Iterable[str] = (),
        **settings: Any,
    ) -> None:
        self.runtime = list(runtime)
        self.device = device
        self.rt_args = list(rt_args)
        unknown = [name for name in settings if name not in _BY_KEYWORD]
        if unknown:
            raise UsageError(
                f"benchmark has no option {unknown[0]!r}", hint=f"Its options are: {', '.join(_BY_KEYWORD)}."
            )
        for name, option in _BY_KEYWORD.items():
            setattr(self, name, settings.get(name, None if option.default == () else option.default))

    def plan_options(self) -> dict[str, Any]:
        """The options as keywords of `api.plan`.

        Raises:
            UsageError: a text is not a value of its option.
        """
        from isobench.runtimes.keywords import from_words

        chosen = {"runtimes": self.runtime, "device": self.device, "rt_args": from_words(self.rt_args)}
        return chosen | {option.name: _value(option, getattr(self, name)) for name, option in _BY_KEYWORD.items()}

    def check(self, facts: frozenset[str]) -> frozenset[str]:
        where = registry.device(self.device)
        altered = sorted(fact.removeprefix("altered by ") for fact in facts if fact.startswith("altered by "))
        for name in self.runtime or [registry.default(where)]:
            entry = registry.get(name, where)
            if entry.cls.takes_scripts_only and "script" not in facts:
                raise UsageError(
                    f"{name} can't run it: {entry.cls.takes_scripts_only}", hint="Use another runtime, such as ort."
                )
            require(f"benchmark on {name}", (*self.needs, *(["onnx"] if entry.build_required else [])), facts)
            if altered and not entry.build_required:
                raise UsageError(
                    f"{name} runs the script's module, without the changes that {' and '.join(altered)} made to the "
                    "ONNX file",
                    hint=f"Use a runtime that runs the ONNX file, such as ort, or omit {' and '.join(altered)}.",
                )
        return facts | {*self.gives}

    def run(self, state: State, work: Work) -> State:
        return replace(state, results=(*state.results, *work.measure(self, state)))
