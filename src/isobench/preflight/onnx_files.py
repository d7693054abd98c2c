"""What is known of `.onnx` files before they are built: whether sizes and values of inputs that are given fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from isobench.planning.models import Model

if TYPE_CHECKING:
    from isobench.builds.onnx_file import OnnxFile

READ_BYTES = 2**26
"""Larger files, of models or inputs, aren't read before they are built."""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it is reported when it is read
        return 0


class OnnxFiles:
    """The signatures of files, each read once."""

    def __init__(self) -> None:
        self._found: dict[Path, OnnxFile] = {}

    def check(self, model: Model) -> None:
        """Raises:
        ModelError: the file isn't ONNX.
        UsageError: the sizes of its inputs aren't fixed; what is given names no input, or doesn't fit.
        """
        from isobench.builds import filling, given_inputs, onnx_file, sizes

        read = [model.path, *given_inputs.files(model)]
        if model.is_ort_format or sum(map(_size, read)) > READ_BYTES:
            return
        if model.path not in self._found:
            self._found[model.path] = onnx_file.read(model.path)
        found = self._found[model.path]
        for one in given_inputs.split(model):
            shapes = {**model.shapes, **given_inputs.of_onnx(one, found).shapes}
            specs = sizes.settle(found, model.dimensions, {**sizes.batches_of_one(found, shapes), **shapes})
            for spec in specs:
                rule = model.fill.get(spec.name, "@")
                if not rule.startswith("@") and "(" not in spec.dtype:
                    filling.fill(replace(spec, shape=(1,) * len(spec.shape)), rule, seed=0)
