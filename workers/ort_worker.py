"""ONNX Runtime worker: runs inside the `ort` environment."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import onnxruntime

import protocol
import tensors
from harness import Refused, measure, request, serve

if TYPE_CHECKING:
    from collections.abc import Callable

LEVELS = {
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


def _execute(
    output_dir: str,  # noqa: ARG001 - part of every worker's contract
    onnx_file: str,
    outputs_file: str,
    iterations: int,
    *,
    graph_optimization: str = "all",
    spinning: bool = True,
) -> None:
    if graph_optimization not in LEVELS:
        raise Refused(
            "bad-argument", f"graph_optimization is {graph_optimization!r}", f"It is one of {', '.join(LEVELS)}."
        )
    model, threads = request()["model"], request()["threads"]
    inputs = {tensor.name: tensor for tensor in protocol.read_tensors(model["inputs_file"])}
    started = time.perf_counter()
    session = onnxruntime.InferenceSession(
        onnx_file, _options(graph_optimization, threads, spinning=spinning), providers=["CPUExecutionProvider"]
    )
    load_s = time.perf_counter() - started
    named = [(entry["name"], inputs[entry["source"]]) for entry in model["onnx_inputs"]]
    call, read_outputs = _bind(session, named, model["onnx_outputs"])
    measure(
        call,
        outputs_file,
        iterations,
        outputs=read_outputs,
        load_s=load_s,
        facts={
            "onnxruntime": onnxruntime.__version__,
            "build": onnxruntime.get_build_info(),
            "execution_providers": session.get_providers(),
            "graph_optimization": graph_optimization,
            "spinning": spinning,
            "timing": "host",
            "timed": "one run of the session; inputs and outputs lie in host memory, bound before (I/O binding)",
        },
        threads=session.get_session_options().intra_op_num_threads,
    )


def _options(graph_optimization: str, threads: int, *, spinning: bool) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[graph_optimization]
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    return options


def _bind(
    session: onnxruntime.InferenceSession, inputs: list[tuple[str, protocol.Tensor]], outputs: list[dict[str, str]]
) -> tuple[Callable[[], Any], Callable[[Any], list[protocol.Tensor]]]:
    """Bind inputs and outputs to memory that stays where it is, so that an iteration is the model and nothing else.

    The outputs' sizes are learned from one run; ONNX Runtime then writes into the same memory each time.
    """
    binding = session.io_binding()
    given = {name: tensors.to_ortvalue(tensor) for name, tensor in inputs}
    for name, value in given.items():
        binding.bind_ortvalue_input(name, value)
    for entry in outputs:
        binding.bind_output(entry["name"])
    session.run_with_iobinding(binding)
    made = binding.get_outputs()
    for entry, value in zip(outputs, made, strict=True):
        binding.bind_ortvalue_output(entry["name"], value)

    # The same call as session.run_with_iobinding makes, less the Python around it (a microsecond of a tiny model).
    call = partial(session._sess.run_with_iobinding, binding._iobinding, None)

    def read_outputs(_: object) -> list[protocol.Tensor]:
        # `given` is here to stay alive: the binding doesn't keep the memory of its inputs.
        assert len(given) == len(inputs)
        return [tensors.from_ortvalue(entry["source"], value) for entry, value in zip(outputs, made, strict=True)]

    return call, read_outputs


if __name__ == "__main__":
    serve(_execute)
