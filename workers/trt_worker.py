"""TensorRT worker, for `trt` and `trt-rtx`: runs inside the `tensorrt` or the `tensorrt-rtx` environment."""

from __future__ import annotations

import math
import os
import re
import time
from typing import TYPE_CHECKING, Any

import cuda_driver
import gpu_timing
import protocol
import trt_engine
from harness import Refused, measure, request, serve, stage
from protocol import Ending, Phase
from trt_engine import Built, Network, Options

if TYPE_CHECKING:
    from collections.abc import Callable

TRIED = 30
"""Inferences of each of several builds that decide which one is measured."""


def _execute(
    output_dir: str,  # noqa: ARG001 - part of every worker's contract
    onnx_file: str,
    outputs_file: str,
    iterations: int,
    *,
    workspace: int = 0,
    optimization: int = 3,
    tf32: bool = False,
    cuda_graph: bool = False,
    timing_cache: bool = True,
    builds: int = 1,
) -> None:
    trt = trt_engine.library()
    cuda = cuda_driver.open_driver()
    monitor, gpu_facts = gpu_timing.watch(cuda)
    model, log = request()["model"], trt_engine.logger(trt)
    given = {tensor.name: tensor for tensor in protocol.read_tensors(model["inputs_file"])}
    named = {entry["name"]: _tensor(entry, given) for entry in model["onnx_inputs"]}
    outputs = {entry["name"]: entry["source"] for entry in model["onnx_outputs"]}  # a file may list one twice
    options = Options(workspace, optimization, tf32, cuda_graph)
    started = time.perf_counter()
    cache_file = _cache_file(trt, gpu_facts) if timing_cache and builds == 1 else ""
    built = _built(trt, log, onnx_file, options, named, cache_file, builds)
    loaded = [_Loaded(trt, log, cuda, one, named, outputs) for one in built]
    chosen, medians = _chosen(loaded)
    run = loaded[chosen]
    enqueue: Callable[[], Any] = run.enqueue
    if cuda_graph:
        stage(Phase.CAPTURING_GRAPH)
        enqueue = _captured(cuda, run)
    run.transfers.clear_outputs()
    inference = gpu_timing.Inference(
        cuda,
        run.stream,
        enqueue=enqueue,
        copy_in=run.transfers.copy_in,
        copy_out=run.transfers.copy_out,
        monitor=monitor,
    )
    engines = [{**one.facts(), "median_s": median_s} for one, median_s in zip(built, medians, strict=True)]
    measure(
        inference,
        outputs_file,
        iterations,
        outputs=lambda _: run.outputs(),
        load_s=time.perf_counter() - started - sum(one.build_s for one in built),
        sample_source=inference.samples,
        facts={
            trt_engine.name_of(trt): trt.__version__,
            "compile_s": built[chosen].build_s,
            "engines": engines,
            "engine": chosen,
            **({"builds": _several(built, medians, chosen)} if builds > 1 else {}),
            "device_memory_bytes": getattr(run.engine, "device_memory_size_v2", None),
            "layers": run.engine.num_layers,
            "workspace_bytes": workspace or None,
            "optimization": optimization,
            "tf32": tf32,
            "cuda_graph": cuda_graph,
            "cuda_layer": cuda.name,
            "gpu": gpu_facts,
            **gpu_timing.CONTRACT,
        },
    )


def _tensor(entry: dict[str, str], given: dict[str, protocol.Tensor]) -> protocol.Tensor:
    found = given.get(entry["source"])
    if found is None or found.dtype == protocol.STRING:
        what = "text" if found else "no tensor"
        raise Refused(
            Ending.MODEL_ERROR,
            f"the input {entry['name']} is {what}, and TensorRT takes only tensors of numbers",
            "Check whether ONNX Runtime can run it: -r ort --device x86",
        )
    return found


def _built(
    trt: Any,
    log: Any,
    onnx_file: str,
    options: Options,
    inputs: dict[str, protocol.Tensor],
    cache_file: str,
    builds: int,
) -> list[Built]:
    """Build the engine `builds` times: two builds of one model may differ.

    Several builds share no timing cache, so that each measures its kernels again.
    """
    found = []
    for _ in range(builds):
        network = Network(trt, log, onnx_file)
        config = network.configuration(options, inputs, trt_engine.read_cache(cache_file))
        found.append(network.built(config))
        trt_engine.store_cache(cache_file, config)
    return found


class _Loaded:
    """A loaded engine, with its buffers, on its own stream."""

    def __init__(
        self,
        trt: Any,
        log: Any,
        cuda: cuda_driver.Libcuda,
        built: Built,
        inputs: dict[str, protocol.Tensor],
        outputs: dict[str, str],
    ) -> None:
        self.cuda = cuda
        self.stream = cuda.stream()
        self.transfers = gpu_timing.Transfers(cuda, self.stream)
        self._log = log
        self._runtime, self.engine, self.context = trt_engine.deserialized(trt, log, built.plan)
        self._host: list[cuda_driver.Buffer] = []
        for name, tensor in inputs.items():
            self._bind_input(trt, name, tensor)
        self._outputs = [(source, *self._bind_output(name)) for name, source in outputs.items()]
        handle, execute = cuda.handle(self.stream), self.context.execute_async_v3

        def enqueue() -> None:
            if not execute(handle):
                raise trt_engine.refusal("TensorRT can't run the engine", log)

        self.enqueue = enqueue

    def outputs(self) -> list[protocol.Tensor]:
        """The outputs that are in the GPU's memory now."""
        data = self.transfers.outputs()
        return [
            protocol.Tensor(name, dtype, shape, raw)
            for (name, dtype, shape), raw in zip(self._outputs, data, strict=True)
        ]

    def _bind_input(self, trt: Any, name: str, tensor: protocol.Tensor) -> None:
        expected = trt_engine.dtype_of(self.engine, name)
        if expected != tensor.dtype:
            raise Refused(Ending.MODEL_ERROR, f"the input {name} must be {expected} for the engine, got {tensor.dtype}")
        if -1 in tuple(self.engine.get_tensor_shape(name)) and not self.context.set_input_shape(name, tensor.shape):
            raise trt_engine.refusal(f"TensorRT refuses the shape of {name}", self._log)
        if self.engine.get_tensor_location(name) == trt.TensorLocation.HOST:  # its values determine shapes
            self._host.append(self.cuda.page_locked(len(tensor.data)))
            self._host[-1].view[:] = tensor.data
            address = self._host[-1].address
        else:
            address = self.transfers.add_input(tensor.data)
        self._set_address(name, address)

    def _bind_output(self, name: str) -> tuple[str, tuple[int, ...]]:
        dtype, shape = trt_engine.dtype_of(self.engine, name), tuple(self.context.get_tensor_shape(name))
        if any(size < 0 for size in shape):
            raise Refused(
                Ending.MODEL_ERROR,
                f"the shape of the output {name} depends on the values of the inputs, which isn't supported yet",
                "Use -r ort or -r torch-eager.",
            )
        self._set_address(name, self.transfers.add_output(math.prod(shape) * protocol.DTYPES[dtype]))
        return dtype, shape

    def _set_address(self, name: str, address: int) -> None:
        if not self.context.set_tensor_address(name, address):
            raise trt_engine.refusal(f"TensorRT refuses the address of {name}", self._log)


def _chosen(loaded: list[_Loaded]) -> tuple[int, list[float | None]]:
    """The index of the engine to measure, and the median of each: of several the middle one, the slower of two."""
    if len(loaded) == 1:
        return 0, [None]
    stage(Phase.COMPARING_ENGINES)
    medians = [_median_s(one) for one in loaded]
    return sorted(range(len(loaded)), key=medians.__getitem__)[len(loaded) // 2], [*medians]


def _several(built: list[Built], medians: list[float | None], chosen: int) -> str:
    """Several builds, for people: whether they differ, and by how much."""
    unlike = len({one.sha256 for one in built})
    each = ", ".join(f"{(median_s or 0.0) * 1000:.4f}" for median_s in medians)
    return f"{len(built)}, {unlike} of them unlike: medians {each} ms; number {chosen + 1} is measured"


def _median_s(run: _Loaded) -> float:
    start, end = run.cuda.event(), run.cuda.event()
    found = []
    for _ in range(TRIED):
        run.enqueue()
        run.cuda.record(start, run.stream)
        run.enqueue()
        run.cuda.record(end, run.stream)
        run.cuda.synchronize(run.stream)
        found.append(run.cuda.elapsed_ns(start, end))
    return sorted(found)[TRIED // 2] / 1e9


def _captured(cuda: cuda_driver.Libcuda, run: _Loaded) -> Callable[[], None]:
    run.enqueue()  # some work is done only in the first run
    cuda.synchronize(run.stream)
    try:
        return cuda.captured(run.stream, run.enqueue)
    except cuda_driver.CudaError as error:
        hint = "Leave out --rt-args cuda_graph: not all layers can be captured."
        raise Refused(Ending.ENGINE_ERROR, f"the engine can't be captured as a CUDA graph: {error}", hint) from None


def _cache_file(trt: Any, gpu_facts: dict[str, Any]) -> str:
    """The timing cache of this version and GPU; "" if there is no cache folder, or for TensorRT-RTX, which has none."""
    folder = os.environ.get("ISOBENCH_CACHE", "")
    name = trt_engine.name_of(trt)
    if not folder or name == "tensorrt_rtx":
        return ""
    device = re.sub(r"[^A-Za-z0-9]+", "-", str(gpu_facts.get("name") or "gpu"))
    capability = gpu_facts.get("compute_capability")
    return os.path.join(folder, f"{name}-{trt.__version__}-{device}-{capability}.timings")


if __name__ == "__main__":
    serve(_execute)
