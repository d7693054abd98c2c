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
from calling import Calling, Subject
from harness import request
from observed import Observed


def load() -> tuple[torch.nn.Module, Any, Any]:
    """Run the script again, find the requested model by its hash, and return it with its call's arguments.

    It has the state that it had when the script called it. Tensors have the values that every other runtime gets, in
    the memory layout of the script's own tensors.
    """
    subject, args, kwargs = load_subject()
    return subject.module, args, kwargs


def load_subject() -> tuple[Subject, Any, Any]:
    """The same, with all that is needed to call the model as the script called it."""
    model = request()["model"]
    on_cpu = request().get("device", "cpu").partition("::")[0] in {"x86", "cpu"}
    observation = observe.run_script(
        model["script"], model["script_args"], request()["seed"], model["max_depth"], gpus=not on_cpu
    )
    subject = Subject(_found(observation), Calling.from_json(model["calling"]))
    return subject, *_filled(subject, model["inputs_file"])


def further_sets(subject: Subject) -> list[tuple[Any, Any]]:
    """The arguments of the call with each further set of inputs, where there are several."""
    return [_filled(subject, file) for file in request()["model"].get("inputs_files", [])[1:]]


def _filled(subject: Subject, inputs_file: str) -> tuple[Any, Any]:
    given = {tensor.name: pytrees.from_file(tensor) for tensor in protocol.read_tensors(inputs_file)}
    args, kwargs = pytrees.filled(subject.model.args, subject.model.kwargs, given)
    return args, kwargs


def _found(observation: observe.Observation) -> Observed:
    model = request()["model"]
    calling = model["calling"]
    return observe.find_again(observation, model["hash"], calling["structure"], calling["place"])


def read_outputs(value: Any) -> list[protocol.Tensor]:
    """The value that a call of the module returned, as tensors with the names of the expected ones."""
    return [pytrees.to_file(name, tensor) for name, tensor in pytrees.outputs(value)]
