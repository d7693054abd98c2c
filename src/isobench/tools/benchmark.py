"""benchmark: measure what the tools before it have made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from isobench.errors import UsageError
from isobench.runtimes import registry
from isobench.tools.base import State, Tool, Work, require


class Benchmark(Tool):
    """Measure each model on each runtime, in its environment, and save the results.

    The options are those of `isobench run`, which `isobench benchmark -h` explains.
    """

    name = "benchmark"
    needs = ("models",)
    gives = ("results",)

    def __init__(
        self,
        *,
        runtime: list[str] | None = None,
        device: str = "x86",
        rt_args: list[str] | None = None,
        iterations: int | None = None,
        min_time: float = 0.5,
        max_time: float | None = None,
        warmup: int | None = None,
        processes: int = 1,
        threads: int | None = None,
    ) -> None:
        self.runtime = runtime
        self.device = device
        self.rt_args = rt_args
        self.iterations = iterations
        self.min_time = min_time
        self.max_time = max_time
        self.warmup = warmup
        self.processes = processes
        self.threads = threads

    def plan_options(self) -> dict[str, Any]:
        """The options by the names that `api.plan` has for them."""
        from isobench.runtimes.keywords import from_words

        return {
            "runtimes": self.runtime or (),
            "device": self.device,
            "rt_args": from_words(self.rt_args or ()),
            "iterations": self.iterations,
            "min_time_s": self.min_time,
            "max_time_s": self.max_time,
            "warmup": self.warmup,
            "processes": self.processes,
            "threads": self.threads,
        }

    def check(self, facts: frozenset[str]) -> frozenset[str]:
        where = registry.device(self.device)
        altered = sorted(fact.removeprefix("altered by ") for fact in facts if fact.startswith("altered by "))
        for name in self.runtime or [registry.default(where)]:
            entry = registry.get(name, where)
            if entry.cls.takes_scripts_only and "script" not in facts:
                raise UsageError(
                    f"{name} can't run it: {entry.cls.takes_scripts_only}", hint="Take another runtime, such as ort."
                )
            require(f"benchmark on {name}", (*self.needs, *(["onnx"] if entry.build_required else [])), facts)
            if altered and not entry.build_required:
                raise UsageError(
                    f"{name} runs the script's own module, and what {' and '.join(altered)} did to the ONNX file "
                    "isn't in that",
                    hint="Take a runtime that takes the ONNX file, such as ort, or leave that tool out.",
                )
        return facts | {*self.gives}

    def run(self, state: State, work: Work) -> State:
        return replace(state, results=(*state.results, *work.measure(self, state)))
