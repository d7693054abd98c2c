"""load-onnx: use an `.onnx` file as it is, with inputs that are given or drawn."""

from __future__ import annotations

from dataclasses import replace

from isobench.planning import selection
from isobench.tools.base import State, Tool, Work, builds_of


class LoadOnnx(Tool):
    """Read an .onnx file, draw the inputs that aren't given, and compute the expected outputs."""

    name = "load-onnx"
    needs = ("onnx-file",)
    gives = ("models", "onnx")

    def __init__(
        self,
        *,
        dim: list[str] | None = None,
        shape: list[str] | None = None,
        inputs: list[str] | None = None,
        fill: list[str] | None = None,
    ) -> None:
        self.dim = dim
        self.shape = shape
        self.inputs = inputs
        self.fill = fill
        self._dimensions = selection.dimensions(dim or ())
        self._shapes = selection.shapes(shape or ())
        self._inputs, named = selection.given_files(inputs or ())
        self._fill = named | selection.fill_rules(fill or ())

    def run(self, state: State, work: Work) -> State:
        model = replace(
            state.model,
            dimensions={**state.model.dimensions, **self._dimensions},
            shapes={**state.model.shapes, **self._shapes},
            inputs=(*state.model.inputs, *self._inputs),
            fill={**state.model.fill, **self._fill},
        )
        state = replace(state, model=model)
        return replace(state, builds=builds_of(state, work, onnx=True))
