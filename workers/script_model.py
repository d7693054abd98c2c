"""The PyTorch model of a script, with its inputs: for workers of runtimes that need no ONNX file.

from harness import measure, serve
import script_model

def _execute(output_dir, onnx_file, outputs_file, iterations):
    module, args, kwargs = script_model.load()
    read = script_model.read_outputs
    measure(lambda: module(*args, **kwargs), outputs_file, iterations, outputs=read, load_s=...)
"""

from __future__ import annotations

from typing import Any

import torch

import observe
import protocol
import pytrees
from harness import request


def load() -> tuple[torch.nn.Module, Any, Any]:
    """Run the script again, find the requested model by its hash, and return it in `eval()` with its call's arguments.

    Their tensors have the values that every other runtime gets, in the memory layout of the script's own tensors.
    """
    model = request()["model"]
    on_cpu = request().get("device", "cpu").partition("::")[0] in {"x86", "cpu"}
    observation = observe.run_script(
        model["script"], model["script_args"], request()["seed"], model["max_depth"], gpus=not on_cpu
    )
    observed = observe.find(observation, model["hash"])
    given = {tensor.name: pytrees.from_file(tensor) for tensor in protocol.read_tensors(model["inputs_file"])}
    args, kwargs = pytrees.filled(observed.args, observed.kwargs, given)
    return observed.module.eval(), args, kwargs


def read_outputs(value: Any) -> list[protocol.Tensor]:
    """The value that a call of the module returned, as tensors with the names of the expected ones."""
    return [pytrees.to_file(name, tensor) for name, tensor in pytrees.tensor_leaves("output", value)]
