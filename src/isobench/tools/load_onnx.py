"""load-onnx: use an `.onnx` file as it is, with inputs that are given or drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from isobench.planning import selection
from isobench.planning.models import Model
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

    def with_sizes(self, models: Sequence[Model]) -> list[Model]:
        """The models with the sizes of this tool, of several each with those that it has a use for.

        Raises:
            UsageError: none of several files has a dimension or an input of a name.
        """
        sized = [
            replace(
                model,
                dimensions={**model.dimensions, **self._dimensions},
                shapes={**model.shapes, **self._shapes},
            )
            for model in models
        ]
        if len(sized) < 2 or not (self._dimensions or self._shapes):
            return sized
        from isobench.builds import sizes

        return sizes.fitting(sized)

    def run(self, state: State, work: Work) -> State:
        # Of several models, each has those sizes already that it has a use for.
        [model] = self.with_sizes([state.model]) if state.alone else [state.model]
        model = replace(
            model,
            inputs=(*model.inputs, *self._inputs),
            fill={**model.fill, **self._fill},
        )
        state = replace(state, model=model)
        return replace(state, builds=builds_of(state, work, onnx=True))
