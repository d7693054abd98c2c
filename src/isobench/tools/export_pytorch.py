"""export-pytorch: export each model that was found to ONNX."""

from __future__ import annotations

from dataclasses import replace

from isobench.tools.base import State, Tool, Work, builds_of


class ExportPytorch(Tool):
    """Export each model to ONNX with torch's newest exporter, or else with the older one, and check the file."""

    name = "export-pytorch"
    needs = ("script", "models")
    gives = ("onnx",)

    def __init__(self, *, opset: int | None = None) -> None:
        self.opset = opset

    def run(self, state: State, work: Work) -> State:
        if self.opset is not None:
            state = replace(state, settings=replace(state.settings, opset=self.opset))
        return replace(state, builds=builds_of(state, work, onnx=True))
