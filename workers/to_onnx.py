"""Exports a module to ONNX, with names in the file by which inputs and outputs are found again."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any

import torch

import trees
from harness import stage


def export(
    module: torch.nn.Module, args: Any, kwargs: Any, path: str, *, output_names: list[str], opset: int | None
) -> dict[str, Any]:
    """Export by torch's newest exporter, by the older one where that fails; say which it was, or why neither could.

    Returns `{"exporter", "opset", "inputs", "outputs"}`, or `{"error": {"message", "traceback"}}`. `inputs` and
    `outputs` pair a name in the file with the name of the tensor that belongs there. Large weights go into
    `model.onnx.data` beside the file, so that no model is too big for it.
    """
    failures = []
    for exporter, dynamo in (("dynamo", True), ("torchscript", False)):
        flat = _Flat(module, args, kwargs)
        try:
            with torch.no_grad():
                torch.onnx.export(
                    flat,
                    tuple(flat.tensors),
                    path,
                    input_names=flat.input_names,
                    output_names=output_names,
                    opset_version=opset,
                    dynamo=dynamo,
                    **({"external_data": True} if dynamo else {}),
                )
            return _found(path, exporter)
        except Exception as error:  # noqa: BLE001 - exporters raise what they like; the user is shown it
            text = "".join(traceback.format_exception(error))
            print(text)  # noqa: T201 - the log tells the whole story
            failures.append((exporter, error, text))
            _remove_all_of(path)
            stage("exporting with the older exporter")
    return {"error": _told(failures)}


class _Flat(torch.nn.Module):  # type: ignore[misc] # torch isn't there where types are checked
    """The module with its call turned into a plain list of tensors, going in and coming out.

    Exporters differ in what they make of dictionaries, None, numbers and keywords; of tensors they all make the same.
    """

    def __init__(self, module: torch.nn.Module, args: Any, kwargs: Any) -> None:
        super().__init__()
        self.module = module
        # A tuple as it is would do, but torch looks into an attribute for parts of the module.
        self._call: Callable[[], tuple[Any, Any]] = lambda: (args, kwargs)
        named = trees.tensor_leaves_of_call(args, kwargs)
        self.input_names = [name for name, _ in named]
        self.tensors = [tensor for _, tensor in named]

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        args, kwargs = self._call()
        given = dict(zip(self.input_names, tensors, strict=True))
        args, kwargs = trees.replaced(args, kwargs, given)
        outputs: list[torch.Tensor] = []
        for _, tensor in trees.tensor_leaves("output", self.module(*args, **kwargs)):
            # A name in the file stands for one value, so what is returned twice or untouched gets one of its own.
            known = any(tensor is other for other in (*tensors, *outputs))
            outputs.append(tensor.clone() if known else tensor)
        return tuple(outputs)


def _found(path: str, exporter: str) -> dict[str, Any]:
    """What the file says of itself; an exporter leaves out inputs that the model doesn't use."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    weights = {initializer.name for initializer in model.graph.initializer}
    return {
        "exporter": exporter,
        "opset": next(entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}),
        "inputs": [
            {"name": value.name, "source": value.name} for value in model.graph.input if value.name not in weights
        ],
        "outputs": [{"name": value.name, "source": value.name} for value in model.graph.output],
    }


def _told(failures: list[tuple[str, Exception, str]]) -> dict[str, str]:
    """The first failure is of the exporter that can most, so that is the one to tell; the log holds both."""
    _, error, text = failures[0]
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return {
        "message": f"neither of torch's exporters can take it: {type(error).__name__}: {first}",
        "traceback": "\n".join(text.splitlines()[-20:]),
    }


def _remove_all_of(path: str) -> None:
    """Whatever a failed export left, so that nothing of it passes for the next one's."""
    folder = os.path.dirname(path)  # noqa: PTH120
    for name in os.listdir(folder):  # noqa: PTH208
        if not name.endswith(".msgpack"):
            os.remove(os.path.join(folder, name))  # noqa: PTH107, PTH118
