"""Exports a module to ONNX, with names in the file that identify its inputs and outputs."""

from __future__ import annotations

import os
import re
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.jit import TracerWarning

import causes
import pytrees
from harness import stage
from protocol import Ending, Phase

_NOT_THE_MODELS = tuple(
    os.path.dirname(os.path.abspath(file)) + os.sep for file in (torch.__file__, __file__, os.__file__)
)
_IN_WORDS = (
    (r"No ONNX function found for <OpOverload\(op='([\w.]+)'", r"ONNX has no operator for \1"),
    (r"PackedParams", "PyTorch's quantised layers have no form in ONNX; quantise the ONNX file instead"),
)
"""What exporters say (a pattern), and a sentence for it."""


def export(
    called: Callable[[], AbstractContextManager[tuple[torch.nn.Module, Any, Any]]],
    path: str,
    *,
    output_names: list[str],
    opset: int | None,
) -> dict[str, Any]:
    """Export with torch's newest exporter, or with the older one if that fails, or if the module has TorchScript in it.

    `called()` gives the module with its arguments, in the state and in the context (autocast, ...) of its call.

    Returns `{"exporter", "opset", "inputs", "outputs"}`, or `{"error": {"message", "traceback"}}`. `inputs` and
    `outputs` pair a name in the file with the name of its tensor. Large weights are written to `model.onnx.data` beside
    the file, so that no model exceeds ONNX's limit of 2 GiB.
    """
    failures: list[Exception] = []
    with called() as (module, _, _):
        scripted = any(isinstance(part, torch.jit.ScriptModule) for part in module.modules())
    for exporter, dynamo in (("torchscript", False),) if scripted else (("dynamo", True), ("torchscript", False)):
        if failures:
            _remove_all_of(path)
            stage(Phase.EXPORTING, "with the older exporter")
        try:
            with called() as (module, args, kwargs), warnings.catch_warnings():
                flat = _Flat(module, args, kwargs)
                # Where a trace leaves PyTorch for numpy, the values that it saw would become constants.
                warnings.filterwarnings("error", message=".*(NumPy array|torch.from_numpy)", category=TracerWarning)
                # What is TorchScript already, with its branches and loops, stays so in a trace.
                exported = torch.jit.trace(flat, tuple(flat.tensors), check_trace=False) if scripted else flat
                torch.onnx.export(
                    exported,
                    tuple(flat.tensors),
                    path,
                    input_names=flat.input_names,
                    output_names=output_names,
                    opset_version=opset,
                    dynamo=dynamo,
                    **({"external_data": True} if dynamo else {}),
                )
            if torch.get_default_dtype() != torch.float32:
                _check_types(path)
            return _found(path, exporter, opset)
        except Exception as error:
            if causes.lacks(error) is Ending.DISK_FULL:
                raise
            traceback.print_exception(error)  # the log has the tracebacks of both
            failures.append(error)
    _remove_all_of(path)
    return {"error": _reported(failures[0])}


class _Flat(torch.nn.Module):  # type: ignore[misc] # torch isn't installed where types are checked
    """The module with a call that takes and returns a plain list of tensors.

    Exporters differ in how they treat dictionaries, None, numbers and keywords; they all treat tensors alike.
    """

    def __init__(self, module: torch.nn.Module, args: Any, kwargs: Any) -> None:
        super().__init__()
        self.module = module
        # Not a plain tuple, because torch searches attributes for parts of the module.
        self._call: Callable[[], tuple[Any, Any]] = lambda: (args, kwargs)
        named = pytrees.tensor_leaves_of_call(args, kwargs)
        self.input_names = [name for name, _ in named]
        self.tensors = [tensor for _, tensor in named]

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        args, kwargs = self._call()
        given = dict(zip(self.input_names, tensors, strict=True))
        args, kwargs = pytrees.replaced(args, kwargs, given)
        outputs: list[torch.Tensor] = []
        for _, tensor in pytrees.outputs(self.module(*args, **kwargs)):
            # A name in the file stands for one value, so a tensor that is returned twice, or unchanged, is cloned.
            known = any(tensor is other for other in (*tensors, *outputs))
            outputs.append(tensor.clone() if known else tensor)
        return tuple(outputs)


def _check_types(path: str) -> None:
    """The newest exporter takes float32 for the script's default type: then operands of a node differ in theirs.

    Raises:
        onnx.shape_inference.InferenceError: they do.
    """
    import onnx

    onnx.checker.check_model(path, full_check=True)


def _found(path: str, exporter: str, requested: int | None) -> dict[str, Any]:
    """The inputs and outputs of the file; exporters leave out inputs that the model doesn't use."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    weights = {initializer.name for initializer in model.graph.initializer}
    given = [value.name for value in model.graph.input if value.name not in weights]
    if not _depends(model.graph, given):
        raise ValueError("the exporter froze the model: none of its outputs depends on an input")
    opset = next(entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"})
    if opset != (requested or opset):
        raise ValueError(f"the exporter wrote opset {opset}, requested: {requested}")
    return {
        "exporter": exporter,
        "opset": opset,
        "inputs": [{"name": name, "source": name} for name in given],
        "outputs": [{"name": value.name, "source": value.name} for value in model.graph.output],
    }


def _depends(graph: Any, inputs: Iterable[str]) -> bool:
    """Does any output depend on an input?"""
    live = set(inputs)
    for node in graph.node:  # in the order in which they run
        if not live.isdisjoint(_used(node)):
            live.update(node.output)
    return any(value.name in live for value in graph.output)


def _used(node: Any) -> Iterator[str]:
    """The values that a node reads, in its subgraphs, too."""
    yield from node.input
    for attribute in node.attribute:
        for subgraph in (attribute.g, *attribute.graphs):
            for inner in subgraph.node:
                yield from _used(inner)


def _reported(error: BaseException) -> dict[str, str]:
    """The failure of the newest exporter, which supports the most models; the log has both.

    The exporter wraps one exception in another: the innermost names the reason, and the place in the model.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(("<", *_NOT_THE_MODELS))]
    said = [found.expand(words) for pattern, words in _IN_WORDS if (found := re.search(pattern, first))]
    return {
        "message": said[0] if said else f"{type(error).__name__}: {first}".rstrip(": "),
        "traceback": "".join(traceback.format_list(own)).rstrip(),
    }


def _remove_all_of(path: str) -> None:
    """Remove the files of a failed export, so that none of them becomes part of the next one."""
    folder = os.path.dirname(path)
    for name in os.listdir(folder):
        if not name.endswith(".msgpack"):
            os.remove(os.path.join(folder, name))
