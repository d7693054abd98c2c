"""A tool that rounds weights, to see how precise they must be; its worker runs in isobench's `onnx` environment."""

from __future__ import annotations

from isobench.builds.derive import derive
from isobench.tools import Sequence, State, Tool, Work
from isobench.tools.base import checked_environment, each_build
from isobench.tools.discover import Discover
from isobench.tools.export_pytorch import ExportPytorch


class RoundWeights(Tool):
    """Round the float32 weights of each ONNX file to `bits` bits of the mantissa (a float32 has 23)."""

    name = "round-weights"
    needs = ("models", "onnx")
    alters = True

    def __init__(self, *, bits: int = 10) -> None:
        self.bits = bits

    def run(self, state: State, work: Work) -> State:
        environment = checked_environment("onnx", work)
        return each_build(
            state,
            work,
            self.name,
            lambda build: derive(
                build,
                self.worker("round_weights_worker.py"),
                self.options(),
                environment=environment,
                settings=state.settings,
                on_stage=work.stage,
            ),
        )


implements = {
    "tools": [RoundWeights],
    "sequences": {"rounded": Sequence(tools=[Discover(), ExportPytorch(), RoundWeights(bits=20)])},
}
