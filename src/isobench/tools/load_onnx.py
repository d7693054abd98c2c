"""load-onnx: use an `.onnx` file as it is, with random inputs."""

from __future__ import annotations

from dataclasses import replace

from isobench.planning import selection
from isobench.tools.base import State, Tool, Work, builds_of


class LoadOnnx(Tool):
    """Check an .onnx file, draw random inputs, and compute the expected outputs with unoptimized ONNX Runtime."""

    name = "load-onnx"
    needs = ("onnx-file",)
    gives = ("models", "onnx")

    def __init__(self, *, dim: list[str] | None = None, shape: list[str] | None = None) -> None:
        self.dim = dim
        self.shape = shape
        self._dimensions = selection.dimensions(dim or ())
        self._shapes = selection.shapes(shape or ())

    def run(self, state: State, work: Work) -> State:
        model = replace(
            state.model,
            dimensions={**state.model.dimensions, **self._dimensions},
            shapes={**state.model.shapes, **self._shapes},
        )
        state = replace(state, model=model)
        return replace(state, builds=builds_of(state, work, onnx=True))
