"""Runs a script and builds each model that it calls; runs in the script's environment.

For each model it writes a folder under `output_dir`: `inputs.msgpack`, `expected.msgpack` and, if `onnx`, `model.onnx`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import calling
import describe
import given_call
import observe
import protocol
import pytrees
import script_compiles
import script_errors
import script_files
import to_onnx
import torch_rounding
from harness import Refused, serve, stage
from observed import Observed
from protocol import Phase


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
    cases = [] if hash else observe.cases(observation)
    models = [observe.find(observation, hash)] if hash else cases
    alone = len(models) == 1 and models == observe.all_cases(observation)
    entries = []
    for model in models:
        folder = os.path.join(output_dir, model.hash)
        os.makedirs(folder)
        if given and model.hash in given:
            model.args, model.kwargs = given_call.filled(model.args, model.kwargs, given[model.hash])
        try:
            made = _make(model, observation.files, folder, seed, onnx, opset)
            made["calling"] |= {"structure": model.structure, "place": observe.place_of(observation, model)}
        except Exception as error:
            if len(models) == 1:
                raise
            made = _failed(model, folder, error)
        entries.append({"folder": model.hash, **model.entry(), **made})
    if all("failure" in entry for entry in entries):
        raise Refused(**entries[0]["failure"])
    return {
        "models": entries,
        "alone": alone,
        "dependencies": observation.files.dependencies(),
        "missing_variables": observation.files.missing_variables(),
        "notes": [*script_compiles.notes(), *([] if hash else observe.notes(observation))],
    }


def _make(
    model: Observed, files: script_files.Files, folder: str, seed: int, onnx: bool, opset: int | None
) -> dict[str, Any]:
    stage(Phase.COMPUTING_EXPECTED, model.name)
    with files.recording():  # forward may open or import what the script didn't
        subject, notes = calling.decided(model, seed)
        weights_sha256 = describe.weights_sha256(subject.module)
        expected = subject.outputs(model.args, model.kwargs, seed)
    named = pytrees.tensor_leaves_of_call(model.args, model.kwargs)
    inputs = [pytrees.to_file(name, tensor) for name, tensor in named if pytrees.is_storable(tensor)]
    protocol.write_tensors(os.path.join(folder, "inputs.msgpack"), inputs)
    protocol.write_tensors(os.path.join(folder, "expected.msgpack"), expected)
    stage(Phase.COMPUTING_EXPECTED, "with perturbed weights")
    made: dict[str, Any] = {
        "weights_sha256": weights_sha256,
        "rounding": torch_rounding.evaluate(subject.module, model.args, model.kwargs, subject.outputs, folder, seed),
        "input_parameters": given_call.parameters(subject.module, model.args, model.kwargs),
        "calling": subject.calling._asdict(),
        "notes": notes,
    }
    if onnx:
        stage(Phase.EXPORTING, model.name)
        file = os.path.join(folder, "model.onnx")
        names = [tensor.name for tensor in expected]
        reason = subject.not_exportable()
        made["onnx"] = (
            {"error": {"message": reason}}
            if reason
            else to_onnx.export(subject.exporting, file, output_names=names, opset=opset)
        )
    return made


def _failed(model: Observed, folder: str, error: Exception) -> dict[str, Any]:
    """The members of a model that can't be built, while others of the script can."""
    refused = error if isinstance(error, Refused) else script_errors.call_failed(model.name, error)
    for name in os.listdir(folder):
        os.remove(os.path.join(folder, name))
    for name in ("inputs.msgpack", "expected.msgpack"):
        protocol.write_tensors(os.path.join(folder, name), [])
    failure = {name: getattr(refused, name) for name in ("kind", "message", "hint", "traceback")}
    return {
        "weights_sha256": "",
        "calling": None,
        "notes": [],
        "input_parameters": {},
        "failure": failure,
    }


if __name__ == "__main__":
    serve(_execute)
