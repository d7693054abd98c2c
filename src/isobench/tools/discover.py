"""discover: find the models that a script calls, and their inputs."""

from __future__ import annotations

import shlex
from dataclasses import replace

from isobench.tools.base import State, Tool, Work, builds_of


class Discover(Tool):
    """Run the script, find the models that it calls, and save their inputs and outputs."""

    name = "discover"
    needs = ("script",)
    gives = ("models",)

    def __init__(self, *, max_depth: int | None = None, script_args: str | None = None) -> None:
        self.max_depth = max_depth
        self.script_args = script_args

    def run(self, state: State, work: Work) -> State:
        if self.max_depth is not None:
            state = replace(state, settings=replace(state.settings, max_depth=self.max_depth))
        if self.script_args is not None:
            state = replace(state, model=replace(state.model, script_args=tuple(shlex.split(self.script_args))))
        if state.upcoming[:1] == ("export-pytorch",):
            return state  # export-pytorch finds and exports them in one process, so the script runs once
        return replace(state, builds=builds_of(state, work, onnx=False))
