"""ONNX Runtime worker: runs inside the `ort` environment."""

from __future__ import annotations

import os
import re
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy only converts tensors here; its threads would spin for nothing

import onnxruntime

import causes
import ort_custom_ops
import ort_format
import ort_session
import protocol
from harness import Refused, measure, request, serve
from protocol import Ending

LEVELS = {
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
MODES = {
    "sequential": onnxruntime.ExecutionMode.ORT_SEQUENTIAL,
    "parallel": onnxruntime.ExecutionMode.ORT_PARALLEL,
}


CPU = "CPUExecutionProvider"


def _execute(
    output_dir: str,  # noqa: ARG001 - part of every worker's contract
    onnx_file: str,
    outputs_file: str,
    iterations: int,
    *,
    graph_optimization: str = "all",
    execution_mode: str = "sequential",
    intra_op_threads: int | None = None,
    inter_op_threads: int | None = None,
    execution_provider: str = CPU,
    spinning: bool = True,
    custom_op_library: str = "",
    custom_op_library_sha256: str = "",
) -> None:
    model, threads = request()["model"], request()["threads"]
    sets = [
        {tensor.name: tensor for tensor in protocol.read_tensors(file)}
        for file in model.get("inputs_files") or [model["inputs_file"]]
    ]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[graph_optimization]
    options.execution_mode = MODES[execution_mode]
    ort_session.fix_sizes(options, model)
    options.intra_op_num_threads = intra_op_threads or threads
    options.inter_op_num_threads = inter_op_threads or (threads if execution_mode == "parallel" else 1)
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{pool}.allow_spinning", str(int(spinning)))
    ort_custom_ops.register(options, custom_op_library)
    ort_format.accept(options, onnx_file)
    started = time.perf_counter()
    session = _session(onnx_file, options, execution_provider, custom_op_library)
    load_s = time.perf_counter() - started
    try:
        inferences = [
            ort_session.prepare(
                session, ort_session.values(session, inputs, model["onnx_inputs"]), model["onnx_outputs"], onnx_file
            )
            for inputs in sets
        ]
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions have no common class of their own
        raise _can_not("run", error) from None
    effective = session.get_session_options()
    measure(
        [inference.call for inference in inferences],
        outputs_file,
        iterations,
        outputs=[inference.read_outputs for inference in inferences],
        load_s=load_s,
        first_s=inferences[0].first_s,
        facts={
            "onnxruntime": onnxruntime.__version__,
            "build": onnxruntime.get_build_info(),
            "execution_providers": session.get_providers(),
            "graph_optimization": graph_optimization,
            "execution_mode": execution_mode,
            "inter_op_threads": effective.inter_op_num_threads,
            "spinning": spinning,
            "timing": "host",
            **inferences[0].facts,
            **ort_custom_ops.facts(custom_op_library, custom_op_library_sha256),
        },
        threads=effective.intra_op_num_threads,
        asked_threads=intra_op_threads,
    )


def _session(
    onnx_file: str, options: onnxruntime.SessionOptions, provider: str, library: str
) -> onnxruntime.InferenceSession:
    """A session that runs every node with the requested provider and execution mode.

    By default, ONNX Runtime runs on the CPU what the provider can't run, and in sequence what it can't run in parallel.
    """
    known = onnxruntime.get_available_providers()
    if provider not in known:
        raise Refused(
            Ending.NO_PROVIDER, f"this build of ONNX Runtime has no {provider}", f"Available: {', '.join(known)}."
        )
    if options.execution_mode == MODES["parallel"] and options.inter_op_num_threads < 2:
        raise Refused(
            Ending.BAD_ARGUMENT,
            "execution_mode::parallel has no effect with one thread: ONNX Runtime runs the operators in sequence",
            "Add --rt-args inter_op_threads::2, or --threads 2.",
        )
    if provider != CPU:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = onnxruntime.InferenceSession(onnx_file, options, providers=[provider])
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions have no common class of their own
        ort_custom_ops.check_known(error, library)
        if provider == CPU or causes.lacks(error):
            raise _can_not("load", error) from None
        raise Refused(
            Ending.PROVIDER_FALLBACK,
            f"{provider} can't run all of the model: {error}",
            "ONNX Runtime would run the rest on the CPU. Leave execution_provider out to run all of it there.",
        ) from None
    if session.get_providers()[0] != provider:
        used = ", ".join(session.get_providers())
        raise Refused(Ending.PROVIDER_FALLBACK, f"ONNX Runtime would use {used}, requested: {provider}")
    return session


def _can_not(do: str, error: Exception) -> Exception:
    """The error for the user; the one that it is, if memory or disk are used up: the host knows what that means."""
    if causes.lacks(error):
        return error
    missing = re.search(
        r"NOT_IMPLEMENTED : Could not find an implementation for (\w+)\((\d+)\) node with name '(.*)'", str(error)
    )
    if missing:
        return Refused(
            Ending.UNSUPPORTED_OPERATOR,
            f"ONNX Runtime has no {missing[1]} (opset {missing[2]}) for the element types of node {missing[3]!r}",
            "On a CPU it computes few operators in bfloat16 and other narrow types: use float32, or another runtime "
            "(-r openvino; -r torch-eager for a script).",
            cause=missing[1],
        )
    kind, lacking = causes.of_model(str(error))
    return Refused(
        kind,
        f"ONNX Runtime can't {do} the model: {error}",
        "If only an optimization fails, the model runs without it: --rt-args graph_optimization::none",
        cause=lacking,
    )


if __name__ == "__main__":
    serve(_execute)
