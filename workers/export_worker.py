"""Runs a script and builds each model that it calls; runs in the script's environment.

For each model it writes a folder under `output_dir`: `inputs.msgpack`, `expected.msgpack` and, if `onnx`, `model.onnx`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

import describe
import given_call
import observe
import protocol
import pytrees
import script_compiles
import script_files
import to_onnx
import torch_rounding
from harness import Refused, serve, stage
from protocol import FailureKind, Phase


def _execute(
    output_dir: str,
    script: str,
    script_args: Sequence[str] = (),
    hash: str = "",  # noqa: A002 - the name that users know
    opset: int | None = None,
    seed: int = 0,
    onnx: bool = True,
    max_depth: int = 0,
    given: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    observation = observe.run_script(script, script_args, seed, max_depth)
    observation.files.dependencies()  # as they are now: exporting takes a while
    cases = observe.cases(observation)
    models = [observe.find(observation, hash)] if hash else cases
    entries = []
    for model in models:
        folder = model.hash
        if given and folder in given:
            model.args, model.kwargs = given_call.filled(model.args, model.kwargs, given[folder])
        os.makedirs(os.path.join(output_dir, folder))
        made = _make(model, observation.files, os.path.join(output_dir, folder), seed, onnx, opset)
        entries.append({"folder": folder, **made})
    return {
        "models": entries,
        "alone": models == cases[:1] == cases,
        "dependencies": observation.files.dependencies(),
        "missing_variables": observation.files.missing_variables(),
        "notes": script_compiles.notes(),
    }


def _make(
    model: observe.Observed, files: script_files.Files, folder: str, seed: int, onnx: bool, opset: int | None
) -> dict[str, Any]:
    stage(Phase.COMPUTING_EXPECTED, model.name)
    module = model.module.eval()
    weights_sha256 = describe.weights_sha256(module)
    inputs = [pytrees.to_file(name, tensor) for name, tensor in pytrees.tensor_leaves_of_call(model.args, model.kwargs)]
    compute = partial(_outputs, model.name, module)
    with files.recording():  # forward may open or import what the script didn't
        expected = compute(model.args, model.kwargs, seed)
    protocol.write_tensors(os.path.join(folder, "inputs.msgpack"), inputs)
    protocol.write_tensors(os.path.join(folder, "expected.msgpack"), expected)
    stage(Phase.COMPUTING_EXPECTED, "with perturbed weights")
    made: dict[str, Any] = {
        "weights_sha256": weights_sha256,
        "rounding": torch_rounding.evaluate(module, model.args, model.kwargs, compute, folder, seed),
        "input_parameters": given_call.parameters(module, model.args, model.kwargs),
    }
    if onnx:
        stage(Phase.EXPORTING, model.name)
        args, kwargs = pytrees.copied(model.args), pytrees.copied(model.kwargs)
        file = os.path.join(folder, "model.onnx")
        names = [tensor.name for tensor in expected]
        made["onnx"] = to_onnx.export(module, args, kwargs, file, output_names=names, opset=opset)
    return {**model.entry(), **made}


def _outputs(name: str, module: torch.nn.Module, args: Any, kwargs: Any, seed: int) -> list[protocol.Tensor]:
    """The model's outputs, computed from copies of its inputs, since it may change them."""
    args, kwargs = pytrees.copied(args), pytrees.copied(kwargs)
    torch.manual_seed(seed)
    with torch.inference_mode():
        value = module(*args, **kwargs)
    outputs = [pytrees.to_file(name, tensor) for name, tensor in pytrees.tensor_leaves("output", value)]
    if not outputs:
        raise Refused(
            FailureKind.MODEL_ERROR,
            f"{name} returns no tensor ({type(value).__name__}), so its outputs can't be checked",
            "Return what the model computes from its forward method.",
        )
    return outputs


if __name__ == "__main__":
    serve(_execute)
