"""ONNX Runtime worker on a GPU: runs inside the `ort-cuda` environment.

The CUDA provider uses our stream and our memory, and nothing runs on the CPU unnoticed.
"""

from __future__ import annotations

import math
import time
from functools import partial
from typing import Any

import onnxruntime

import causes
import cuda_driver
import gpu_timing
import ort_custom_ops
import ort_format
import ort_session
import ort_values
import protocol
import tensors
from harness import Refused, log_tail, measure, request, serve
from ort_worker import LEVELS
from protocol import Ending

PROVIDER = "CUDAExecutionProvider"
# The numbers of ONNX's types (onnx.TensorProto), by which memory is bound that ONNX Runtime didn't allocate.
ONNX_TYPES = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
    **tensors.ONNX_NUMBERS,
}


def _execute(
    output_dir: str,  # noqa: ARG001 - part of every worker's contract
    onnx_file: str,
    outputs_file: str,
    iterations: int,
    *,
    graph_optimization: str = "all",
    tf32: bool = False,
    cpu_fallback: bool = False,
    custom_op_library: str = "",
    custom_op_library_sha256: str = "",
) -> None:
    model = request()["model"]
    given = {tensor.name: tensor for tensor in protocol.read_tensors(model["inputs_file"])}
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[graph_optimization]
    ort_session.fix_sizes(options, model)
    options.intra_op_num_threads = request()["threads"]
    options.inter_op_num_threads = 1
    cuda = cuda_driver.open_driver()
    monitor, gpu_facts = gpu_timing.watch(cuda)
    stream = cuda.stream()
    _load_libraries()
    ort_custom_ops.register(options, custom_op_library)
    ort_format.accept(options, onnx_file)
    started = time.perf_counter()
    try:
        session = _session(onnx_file, options, cuda.handle(stream), tf32=tf32, cpu_fallback=cpu_fallback)
    except Refused as error:
        ort_custom_ops.check_known(error, custom_op_library)
        raise
    load_s = time.perf_counter() - started
    transfers = gpu_timing.Transfers(cuda, stream)
    binding = session.io_binding()
    _check_types(session)
    for entry in model["onnx_inputs"]:
        tensor = given[entry["source"]]
        address = transfers.add_input(tensors.pack(tensor))
        binding.bind_input(entry["name"], "cuda", 0, ONNX_TYPES[tensor.dtype], tensor.shape, address)
    started = time.perf_counter()
    outputs = {entry["name"]: entry["source"] for entry in model["onnx_outputs"]}  # a file may list one twice
    made = _bind_outputs(session, binding, list(outputs), transfers)
    first_s = time.perf_counter() - started
    transfers.clear_outputs()
    # Without this, each run waits for its end, and the wait would be part of the time.
    asynchronous = onnxruntime.RunOptions()
    asynchronous.add_run_config_entry("disable_synchronize_execution_providers", "1")
    inference = gpu_timing.Inference(
        cuda,
        stream,
        enqueue=partial(session._sess.run_with_iobinding, binding._iobinding, asynchronous),
        copy_in=transfers.copy_in,
        copy_out=transfers.copy_out,
        monitor=monitor,
    )

    def read_outputs(_: object) -> list[protocol.Tensor]:
        return [
            _tensor(source, value, data)
            for source, value, data in zip(outputs.values(), made, transfers.outputs(), strict=True)
        ]

    measure(
        inference,
        outputs_file,
        iterations,
        outputs=read_outputs,
        load_s=load_s,
        first_s=first_s,
        threads=session.get_session_options().intra_op_num_threads,
        sample_source=inference.samples,
        facts={
            "onnxruntime": onnxruntime.__version__,
            "build": onnxruntime.get_build_info(),
            "execution_providers": session.get_providers(),
            "graph_optimization": graph_optimization,
            "cpu_fallback": cpu_fallback,
            "tf32": tf32,
            "cudnn_conv_algo_search": session.get_provider_options()[PROVIDER].get("cudnn_conv_algo_search"),
            "cuda_layer": cuda.name,
            "gpu": gpu_facts,
            **gpu_timing.CONTRACT,
            **ort_custom_ops.facts(custom_op_library, custom_op_library_sha256),
        },
    )


def _load_libraries() -> None:
    """Load the libraries of CUDA and cuDNN from the environment's packages."""
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None:
        preload()


def _session(
    onnx_file: str, options: onnxruntime.SessionOptions, stream: int, *, tf32: bool, cpu_fallback: bool
) -> onnxruntime.InferenceSession:
    """A session on the GPU. By default, ONNX Runtime falls back to the CPU where CUDA is unavailable."""
    available = onnxruntime.get_available_providers()
    if PROVIDER not in available:
        raise _fallback(f"this build of ONNX Runtime has no {PROVIDER}, only {', '.join(available)}")
    if not cpu_fallback:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    provider = {"device_id": "0", "user_compute_stream": str(stream), "use_tf32": str(int(tf32))}
    try:
        session = onnxruntime.InferenceSession(
            onnx_file,
            options,
            providers=[(PROVIDER, provider), *(["CPUExecutionProvider"] if cpu_fallback else [])],
            enable_fallback=False,  # it would retry on the CPU, and report only that
        )
    except Exception as error:
        if causes.lacks(error):
            raise
        hint = "Use --rt-args cpu_fallback to run on the CPU the nodes that the GPU can't run; the result records it."
        raise _fallback(str(error), hint) from None
    if session.get_providers()[0] != PROVIDER:
        raise _fallback(f"the session runs on {session.get_providers()[0]}")
    return session


def _check_types(session: onnxruntime.InferenceSession) -> None:
    """Raises:
    Refused: an input or output can't be in the GPU's memory.
    """
    for what, entries in (("input", session.get_inputs()), ("output", session.get_outputs())):
        for entry in entries:
            if not ort_values.is_tensor(entry.type):
                raise Refused(
                    Ending.MODEL_ERROR,
                    f"the {what} {entry.name} is {entry.type}, and only tensors of numbers fit the GPU's memory",
                    "Measure it on the CPU: --device x86",
                )


def _bind_outputs(
    session: onnxruntime.InferenceSession, binding: Any, names: list[str], transfers: gpu_timing.Transfers
) -> list[Any]:
    """Bind the outputs to the memory that a first run has allocated; their sizes are known only then."""
    for name in names:
        binding.bind_output(name, "cuda", 0)
    session.run_with_iobinding(binding)
    made: list[Any] = binding.get_outputs()
    declared = {entry.name: entry.shape for entry in session.get_outputs()}
    for name, value in zip(names, made, strict=True):
        if value.device_name() != "cuda":
            raise _fallback(f"the output {name} is in the memory of the {value.device_name()}")
        if ort_session.contradict(declared[name], value.shape()):
            raise Refused(
                Ending.MODEL_ERROR,
                f"the output {name} has the size {value.shape()}, not {declared[name]} as the file declares, "
                "so ONNX Runtime refuses fixed memory for it",
                "Correct the size that the file declares, or measure it on the CPU: --device x86",
            )
        transfers.add_output(value.tensor_size_in_bytes(), value.data_ptr())
        binding.bind_ortvalue_output(name, value)
    return made


def _tensor(name: str, value: Any, data: bytes) -> protocol.Tensor:
    dtype, shape = tensors.dtype_of(value), tuple(value.shape())
    return protocol.Tensor(name, dtype, shape, tensors.unpack(dtype, data, math.prod(shape)))


def _fallback(why: str, hint: str = "") -> Refused:
    return Refused(
        Ending.PROVIDER_FALLBACK,
        f"ONNX Runtime would not run this on the GPU: {why}",
        hint or "Check this machine with: isobench doctor --device nvidia",
        log_tail(8),  # only the log names a library that can't be loaded
    )


if __name__ == "__main__":
    serve(_execute)
