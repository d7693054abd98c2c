"""optimize-ort: optimize the ONNX file with ONNX Runtime."""

from __future__ import annotations

from typing import Literal

from isobench.runtimes import custom_ops
from isobench.tools.base import State, Tool, Work, checked_environment, each_build


class OptimizeOrt(Tool):
    """Have ONNX Runtime optimize the graph and save it; level `basic` uses standard ONNX operators only."""

    name = "optimize-ort"
    needs = ("models", "onnx")
    alters = True

    def __init__(self, *, level: Literal["basic", "extended", "all"] = "basic") -> None:
        self.level = level

    def run(self, state: State, work: Work) -> State:
        from isobench.builds.derive import derive

        environment = checked_environment("onnx", work)
        return each_build(
            state,
            work,
            self.name,
            lambda build: derive(
                build,
                "optimize_ort_worker.py",
                {**self.options(), **custom_ops.arguments(build.model.custom_op_library)},
                environment=environment,
                settings=state.settings,
                on_stage=work.stage,
            ),
        )
