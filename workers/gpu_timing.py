"""The measuring loop on a GPU: two timing contracts in each block, with the counters of the CPU and the GPU.

    device      inputs and outputs are in the GPU's memory; the GPU records the time before and after each inference
                (events). Inferences are queued in chunks
    end-to-end  as a caller sees it: inputs are copied to the GPU from page-locked memory, the inference runs, outputs
                are copied back, and the host's clock stops when all is done. One at a time

Work on a GPU is asynchronous, so nothing is read before it has been waited for, and a runtime that works outside of the
timed stream is detected and refused.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Callable
from typing import Any

import machine
import nvml
import protocol
from cuda_driver import Buffer, Libcuda
from harness import Refused
from protocol import Ending

CHUNK = 50
"""Inferences that are queued before they are waited for. Each chunk begins with an untimed one, so that the GPU is busy
while the first timed ones are queued."""
LEFTOVER_SHARE = 0.05
LEFTOVER_NS = 200_000
"""Work outside of the timed stream is refused if it takes longer than both of these."""

CONTRACT = {
    "timing": "device",
    "timed": "one inference by the GPU's own events, inputs and outputs in its memory; beside it, end to end: from "
    "page-locked host memory to page-locked host memory, waited for",
}
"""The facts that every runtime on a GPU reports of its timing."""

clock = time.perf_counter_ns


def watch(cuda: Libcuda) -> tuple[nvml.Gpu | None, dict[str, Any]]:
    """The monitor of the GPU that `cuda` uses, None where NVML is unavailable; and facts about that GPU."""
    try:
        monitor = nvml.by_bus_id(cuda.bus_id())
    except nvml.Unavailable as error:
        return None, {"bus_id": cuda.bus_id(), "unwatched": str(error)}
    return monitor, monitor.facts()


class Inference:
    """A model that is ready on the GPU, timed by events of `cuda` on `stream`.

    `enqueue()` queues one inference in the stream; `copy_in()` queues the copies of its inputs before it, and
    `copy_out(value)` those of its outputs, given the value of `enqueue()`. `monitor` reads the GPU's counters.
    """

    def __init__(
        self,
        cuda: Libcuda,
        stream: Any,
        *,
        enqueue: Callable[[], Any],
        copy_in: Callable[[], None],
        copy_out: Callable[[Any], None],
        monitor: nvml.Gpu | None = None,
    ) -> None:
        self.cuda = cuda
        self.stream = stream
        self.enqueue = enqueue
        self.copy_in = copy_in
        self.copy_out = copy_out
        self.monitor = monitor

    def __call__(self) -> Any:
        """One inference, waited for."""
        value = self.enqueue()
        self.cuda.synchronize(self.stream)
        return value

    def samples(self, device_file: str, end_to_end_file: str) -> Samples:
        """The source of samples by both contracts, with a file for each."""
        return Samples(self, device_file, end_to_end_file)


class Samples:
    """Takes blocks of samples by both contracts. `value` is what the last inference returned."""

    def __init__(self, inference: Inference, device_file: str, end_to_end_file: str) -> None:
        self.value: Any = None
        self._inference = inference
        cuda = inference.cuda
        self._events = [(cuda.event(), cuda.event()) for _ in range(CHUNK)]
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._files = [os.open(name, flags, 0o666) for name in (device_file, end_to_end_file)]

    def block(self, count: int) -> dict[str, Any]:
        """Take `count` samples by each contract; return the counters of the block, as JSON."""
        monitor = self._inference.monitor
        device, end_to_end = array("q", bytes(8 * count)), array("q", bytes(8 * count))
        enqueueing = array("q", bytes(8 * count))
        gpu_before = monitor.read() if monitor else None
        before = machine.read_cpu()
        for first in range(0, count, CHUNK):
            self._chunk(device, first, min(CHUNK, count - first))
        self._one_by_one(end_to_end, enqueueing)
        after = machine.read_cpu()
        evidence = monitor.between(gpu_before, monitor.read()) if monitor and gpu_before else {}
        for file, samples in zip(self._files, (device, end_to_end), strict=True):
            protocol.write_all(file, samples.tobytes())
        return {
            "samples": count,
            "iterations": count,
            "started_s": before.wall_ns / 1e9,
            **machine.between(before, after),
            "gpu": {
                # Measured while nothing else is queued: the host waits for a full queue.
                "enqueue_s": sorted(enqueueing)[count // 2] / 1e9,
                "inferences": 2 * count + -(-count // CHUNK),
                **evidence,
            },
        }

    def close(self) -> None:
        for file in self._files:
            os.close(file)

    def _chunk(self, samples: array[int], first: int, count: int) -> None:
        """Time `count` inferences by events; write the samples from index `first` on."""
        inference, events = self._inference, self._events[:count]
        cuda, stream, enqueue = inference.cuda, inference.stream, inference.enqueue
        record = cuda.record
        began = clock()
        value = enqueue()
        for start, end in events:
            record(start, stream)
            value = enqueue()
            record(end, stream)
        cuda.synchronize(stream)
        ended = clock()
        cuda.synchronize_all()
        _check_all_was_timed(ended - began, clock() - ended)
        self.value = value
        for index, (start, end) in enumerate(events, first):
            # Below the resolution of the events, the least possible time: a sample must not be 0.
            samples[index] = max(1, cuda.elapsed_ns(start, end))

    def _one_by_one(self, samples: array[int], enqueueing: array[int]) -> None:
        """Time `len(samples)` inferences from host memory to host memory."""
        inference = self._inference
        copy_in, enqueue, copy_out = inference.copy_in, inference.enqueue, inference.copy_out
        synchronize, stream = inference.cuda.synchronize, inference.stream
        value = self.value
        for index in range(len(samples)):
            value = None
            started = clock()
            copy_in()
            copied = clock()
            value = enqueue()
            enqueueing[index] = clock() - copied
            copy_out(value)
            synchronize(stream)
            samples[index] = clock() - started
        self.value = value


def _check_all_was_timed(in_stream_ns: int, leftover_ns: int) -> None:
    """Raises:
    Refused: work continued after the end of the timed stream, so the events don't include it.
    """
    if leftover_ns > LEFTOVER_NS and leftover_ns > LEFTOVER_SHARE * in_stream_ns:
        raise Refused(
            Ending.ASYNCHRONOUS,
            f"the runtime works outside of the timed stream: {leftover_ns / 1e6:.3g} ms of work remained "
            f"when the stream ended after {in_stream_ns / 1e6:.3g} ms",
            "The latency would be wrong. Please report this model to the authors of isobench.",
        )


class Transfers:
    """Buffers for inputs and outputs on both sides, for runtimes that take plain addresses."""

    def __init__(self, cuda: Libcuda, stream: Any) -> None:
        self._cuda = cuda
        self._stream = stream
        self._inputs: list[tuple[int, Buffer]] = []
        self._outputs: list[tuple[int, Buffer]] = []

    def add_input(self, data: bytes) -> int:
        """Copy an input to both sides; return its address on the GPU."""
        buffer = self._cuda.page_locked(len(data))
        buffer.view[:] = data
        address = self._cuda.allocate(len(data))
        self._inputs.append((address, buffer))
        self.copy_in()
        self._cuda.synchronize(self._stream)
        return address

    def add_output(self, size: int, address: int | None = None) -> int:
        """Allocate an output of `size` bytes, on the GPU only if it has no `address` there yet; return that address."""
        place = self._cuda.allocate(size) if address is None else address
        self._outputs.append((place, self._cuda.page_locked(size)))
        return place

    def copy_in(self) -> None:
        """Queue the copies of all inputs to the GPU."""
        for address, buffer in self._inputs:
            self._cuda.copy_in(address, buffer, self._stream)

    def copy_out(self, _: Any = None) -> None:
        """Queue the copies of all outputs from the GPU."""
        for address, buffer in self._outputs:
            self._cuda.copy_out(buffer, address, self._stream)

    def clear_outputs(self) -> None:
        """Overwrite the outputs of earlier inferences, so that only timed ones can leave what is read at the end."""
        for address, buffer in self._outputs:
            buffer.view[:] = bytes(buffer.size)
            self._cuda.copy_in(address, buffer, self._stream)
        self._cuda.synchronize(self._stream)

    def outputs(self) -> list[bytes]:
        """The bytes of all outputs on the GPU now, waited for, in the order in which they were added."""
        self.copy_out()
        self._cuda.synchronize(self._stream)
        return [bytes(buffer.view) for _, buffer in self._outputs]
