"""What every worker shares: reading the request, telling how far it is, timing, and writing what came of it.

A worker is as small as this:

    from harness import measure, request, serve

    def _execute(output_dir, onnx_file, outputs_file, iterations, **rt_args):
        ...                                     # load the model and its inputs
        measure(call, outputs_file, iterations, outputs=read_outputs, load_s=...)

    if __name__ == "__main__":
        serve(_execute)
"""

from __future__ import annotations

import gc
import os
import time
from array import array
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import machine
import protocol

BLOCK_TICKS = 10
"""Shortest block, in steps of the counter that tells what others used: over less of them it says nothing."""

_run_dir = ""
_control = -1
_events = -1
_started_ns = 0
_served_ns = 0
_stage = "importing"
_request: dict[str, Any] = {}


class Refused(Exception):  # noqa: N818 - a word of the protocol, not only an exception
    """The work can't be done, for a reason that is the user's to mend: shown as it is, without isobench's traceback.

    `kind` is a short word for programs ("script-error", "model-error", ...), `traceback` the user's own, if any.
    """

    def __init__(self, kind: str, message: str, hint: str = "", traceback: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.traceback = traceback


def attach(run_dir: str, *, control: int, events: int, started_ns: int) -> None:
    """Called by launch.py: where the run directory is, and the pipes from and to the host (-1: there is none)."""
    global _run_dir, _control, _events, _started_ns
    _run_dir, _control, _events, _started_ns = run_dir, control, events, started_ns


def request() -> dict[str, Any]:
    """The whole request; `protocol.REQUEST_SCHEMA` is its format."""
    return _request


def stage(text: str) -> None:
    """Tell the host what is going on now. Costs some microseconds; never called while something is timed."""
    global _stage
    _stage = text
    if _events >= 0:
        import json

        # Where the host no longer listens, the guard is about to end this process.
        with suppress(BrokenPipeError):
            os.write(_events, json.dumps({"stage": text}).encode() + b"\n")


def current_stage() -> str:
    return _stage


def log_tail(lines: int) -> str:
    """The last lines that this worker (a user's script, say) printed; "" where nobody keeps them."""
    import sys

    sys.stdout.flush()
    sys.stderr.flush()
    try:
        with open(_path(protocol.LOG_FILE), "rb") as log:  # noqa: PTH123
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def serve(execute: Callable[..., dict[str, Any] | None]) -> None:
    """Wait for the host, call `execute(**arguments)`; what it returns, if anything, becomes `outputs.json`.

    Whatever is imported before this call is imported while the host still checks and hashes.
    """
    global _request, _served_ns
    _served_ns = time.perf_counter_ns()
    _wait_for_go()
    _request = protocol.read_json(_path(protocol.REQUEST_FILE), protocol.REQUEST_SCHEMA)
    stage("loading")
    value = execute(**_request["arguments"])
    if value is not None:
        protocol.write_json(
            _path(protocol.OUTPUTS_FILE), {"schema": protocol.OUTPUTS_SCHEMA, "status": "ok", **value}
        )


def measure(
    call: Callable[[], Any],
    outputs_file: str,
    iterations: int,
    *,
    outputs: Callable[[Any], list[protocol.Tensor]],
    load_s: float,
    facts: dict[str, Any] | None = None,
    threads: int | None = None,
) -> None:
    """Warm `call` up, time it `iterations` times one by one, and write samples, outputs and `outputs_file`.

    `call()` is exactly one inference; `outputs(value)` turns what the last timed call returned into tensors that are
    named like the expected ones. `load_s` is what loading took; `facts` are the runtime's own (versions, precision,
    compile time); `threads` is the number that the runtime says it uses.
    """
    stage("warming up")
    first_ns, warmup_ns = _warm_up(call, request().get("warmup", 10))
    stage("measuring")
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()  # a collection in the middle of an iteration would be charged to the model
    per_block = _iterations_per_block(warmup_ns, BLOCK_TICKS * machine.cpu_resolution_s())
    samples, blocks, value = _time(call, iterations, per_block=per_block)
    if collecting:
        gc.enable()
    stage("writing")
    protocol.write_tensors(_path(protocol.OUTPUT_TENSORS_FILE), outputs(value))
    protocol.write_tensors(
        _path(protocol.SAMPLES_FILE), [protocol.Tensor("latency_ns", "int64", (iterations,), samples.tobytes())]
    )
    protocol.write_json(
        outputs_file,
        {
            "schema": protocol.OUTPUTS_SCHEMA,
            "status": "ok",
            "iterations": iterations,
            "warmup_iterations": 1 + len(warmup_ns),
            "import_s": (_served_ns - _started_ns) / 1e9,
            "load_s": load_s,
            "first_inference_s": first_ns / 1e9,
            "warmup_s": sum(warmup_ns) / 1e9,
            "blocks": blocks,
            "threads": {"requested": request().get("threads"), "runtime": threads, "process": machine.threads()},
            "facts": facts or {},
            "process": machine.process(),
        },
    )


def _warm_up(call: Callable[[], Any], iterations: int) -> tuple[int, list[int]]:
    """Call once, then until `iterations` were made; return the nanoseconds of the first and of each of the others."""
    clock = time.perf_counter_ns
    started = clock()
    call()
    first = clock() - started
    others = []
    for _ in range(iterations - 1):
        started = clock()
        call()
        others.append(clock() - started)
    return first, others


def _iterations_per_block(warmup_ns: list[int], block_s: float) -> int:
    typical = sorted(warmup_ns)[len(warmup_ns) // 2] if warmup_ns else 0
    return int(block_s * 1e9 / typical) + 1 if typical else 1


def _time(call: Callable[[], Any], iterations: int, *, per_block: int) -> tuple[array[int], list[dict[str, Any]], Any]:
    """Time each call by itself; between blocks, and only there, look at what else went on in the machine."""
    samples = array("q", bytes(8 * iterations))
    clock = time.perf_counter_ns
    blocks: list[dict[str, Any]] = []
    value = None
    first = 0
    before = machine.read_cpu()
    while first < iterations:
        # The last block takes what would be too short for one of its own.
        last = first + per_block if iterations - first >= 2 * per_block else iterations
        for index in range(first, last):
            value = None  # what the previous call returned is freed here, not in the time of this one
            started = clock()
            value = call()
            samples[index] = clock() - started
        after = machine.read_cpu()
        blocks.append({"iterations": last - first, **machine.between(before, after)})
        before, first = after, last
    return samples, blocks, value


def _wait_for_go() -> None:
    """Block until the host says "go". Its silence for ever means that it is gone, or has changed its mind."""
    if _control < 0:
        return
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(_control, 1)
        if not byte:
            os._exit(0)
        line += byte


def _path(name: str) -> str:
    return os.path.join(_run_dir, name)  # noqa: PTH118
