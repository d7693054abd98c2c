"""OpenVINO worker: runs inside the `openvino` environment."""

from __future__ import annotations

import os
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy only converts tensors here; its threads would spin for nothing

import openvino
from openvino import _pyopenvino

import openvino_values
import protocol
from harness import Refused, measure, request, serve, stage
from protocol import Ending, Phase

if TYPE_CHECKING:
    from collections.abc import Callable

AUTO = "auto"
# Requests that hold text: OpenVINO crashes when it frees one. The process ends without freeing what is here.
_alive: list[openvino.InferRequest] = []


def _execute(
    output_dir: str,  # noqa: ARG001 - part of every worker's contract
    onnx_file: str,
    outputs_file: str,
    iterations: int,
    *,
    precision: str = "f32",
    pinning: bool = False,
) -> None:
    model, threads = request()["model"], request()["threads"]
    sets = []
    for file in model.get("inputs_files") or [model["inputs_file"]]:
        inputs = {tensor.name: tensor for tensor in protocol.read_tensors(file)}
        sets.append({entry["name"]: _tensor(entry, inputs) for entry in model["onnx_inputs"]})
    named = sets[0]
    core = openvino.Core()
    started = time.perf_counter()
    network, reshaped, dropped = _read(core, onnx_file, named)
    load_s = time.perf_counter() - started
    stage(Phase.COMPILING)
    started = time.perf_counter()
    compiled = _compile(core, network, _config(precision, threads, pinning=pinning))
    compile_s = time.perf_counter() - started
    used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if precision not in {AUTO, used}:
        raise Refused(
            Ending.PRECISION,
            f"OpenVINO would compute in {used}, requested: {precision}",
            "Use --rt-args precision::auto to accept it.",
        )
    bound = [_bind(compiled, one, model["onnx_outputs"]) for one in sets]
    measure(
        [call for call, _ in bound],
        outputs_file,
        iterations,
        outputs=[read_outputs for _, read_outputs in bound],
        load_s=load_s,
        facts={
            "compile_s": compile_s,
            "openvino": openvino.__version__,
            "precision": used,
            "precisions_of_layers": _precisions(compiled),
            "reshaped": reshaped,
            **({"dropped_inputs": dropped} if dropped else {}),
            "pinning": compiled.get_property("ENABLE_CPU_PINNING"),
            "streams": compiled.get_property("NUM_STREAMS"),
            "timing": "host",
            "timed": "one synchronous inference; inputs and outputs lie in host memory, bound before",
        },
        threads=compiled.get_property("INFERENCE_NUM_THREADS"),
    )


def _config(precision: str, threads: int, *, pinning: bool) -> dict[str, Any]:
    """One inference at a time, on exactly `threads` threads. By default, OpenVINO uses bf16 where that is faster."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_HYPER_THREADING": True,  # without it, never more threads than physical cores
        "ENABLE_CPU_PINNING": pinning,
        **({} if precision == AUTO else {"INFERENCE_PRECISION_HINT": precision}),
    }


def _tensor(entry: dict[str, str], inputs: dict[str, protocol.Tensor]) -> protocol.Tensor:
    if entry["source"] in inputs:
        return inputs[entry["source"]]
    raise Refused(
        Ending.MODEL_ERROR,
        f"the input {entry['name']} is no tensor, and OpenVINO takes nothing else",
        "Check whether ONNX Runtime can run it: -r ort",
    )


def _read(
    core: openvino.Core, onnx_file: str, inputs: dict[str, protocol.Tensor]
) -> tuple[openvino.Model, bool, list[str]]:
    """The model with fixed input shapes, whether it had dynamic ones, and inputs of the file that OpenVINO has dropped.

    Every runtime gets only these inputs.
    """
    try:
        network = core.read_model(onnx_file)
        places = openvino_values.match(network.inputs, list(inputs))
        openvino_values.check_inputs(network.inputs, places)
        dynamic = network.is_dynamic()
        if dynamic:
            sizes = zip(places, inputs.values(), strict=True)
            network.reshape({place: list(tensor.shape) for place, tensor in sizes if place is not None})
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001 - OpenVINO raises RuntimeError and whatever its frontends raise
        raise openvino_values.can_not("read", error) from None
    return network, dynamic, [name for name, place in zip(inputs, places, strict=True) if place is None]


def _compile(core: openvino.Core, network: openvino.Model, config: dict[str, Any]) -> openvino.CompiledModel:
    try:
        return core.compile_model(network, "CPU", config)
    except Exception as error:  # noqa: BLE001 - OpenVINO raises RuntimeError and whatever its plugins raise
        raise openvino_values.can_not("compile", error) from None


def _bind(
    compiled: openvino.CompiledModel, inputs: dict[str, protocol.Tensor], outputs: list[dict[str, str]]
) -> tuple[Callable[[], Any], Callable[[Any], list[protocol.Tensor]]]:
    """Copy the inputs into the request's own memory, so that an iteration is the model and nothing else."""
    bound = compiled.create_infer_request()
    _alive.append(bound)
    places = openvino_values.match(compiled.inputs, list(inputs))
    for place, tensor in zip(places, inputs.values(), strict=True):
        if place is not None:
            openvino_values.write(bound.get_input_tensor(place), tensor)
    names = [entry["name"] for entry in outputs]
    returned = openvino_values.chosen(outputs, openvino_values.match(compiled.outputs, names))

    # The call that InferRequest.infer makes without inputs, without the copies that it makes of the outputs.
    call = partial(_pyopenvino.InferRequest.infer, bound, {}, share_outputs=True, decode_strings=False)

    def read_outputs(_: object) -> list[protocol.Tensor]:
        return [openvino_values.read(source, bound.get_output_tensor(place)) for source, place in returned]

    return call, read_outputs


def _precisions(compiled: openvino.CompiledModel) -> dict[str, int]:
    """The number of layers of the compiled model that compute in each precision, as OpenVINO reports."""
    infos = [layer.get_rt_info() for layer in compiled.get_runtime_model().get_ordered_ops()]
    working = [info for info in infos if info["layerType"].astype(str) not in {"Input", "Const", "Output"}]
    return dict(Counter(str(info["runtimePrecision"].astype(str)) for info in working))


if __name__ == "__main__":
    serve(_execute)
