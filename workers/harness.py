"""The part that all workers share: it reads the request, reports phases, measures, and writes the outputs.

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
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import machine
import network
import process_facts
import protocol
import resource_limits
import timing

if TYPE_CHECKING:
    from rotation import Rotation

BLOCK_TICKS = 10
"""Shortest block, in steps of the counter of what others used, which is meaningless over fewer steps."""

_run_dir = ""
_control = -1
_events = -1
_forked = False
_started_ns = 0
_served_ns = 0
_phase = protocol.Phase.IMPORTING
_detail = ""
_request: dict[str, Any] = {}


class Refused(Exception):  # noqa: N818 - the name is part of the workers' contract
    """The work can't be done, for a reason that the user can fix: shown as it is, without isobench's traceback.

    `kind` is a `protocol.Ending`, or a plugin's own word; `traceback` the user's own, if any; `cause` what the kind
    leaves open, such as the operator of `Ending.UNSUPPORTED_OPERATOR`.
    """

    def __init__(self, kind: str, message: str, hint: str = "", traceback: str = "", *, cause: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.traceback = traceback
        self.cause = cause


def attach(run_dir: str, *, control: int, events: int, started_ns: int) -> None:
    """Called by launch.py with the run directory and the pipes from and to the host (-1: none)."""
    global _run_dir, _control, _events, _started_ns
    _run_dir, _control, _events, _started_ns = run_dir, control, events, started_ns
    os.register_at_fork(after_in_child=_leave_to_parent)


def _leave_to_parent() -> None:
    """In a process that the worker has forked: what it sends and returns isn't the worker's."""
    global _forked, _events
    _forked, _events = True, -1


def forked() -> bool:
    """Is this a process that the worker has forked, which goes on in the worker's code?"""
    return _forked


def request() -> dict[str, Any]:
    """The contents of request.json."""
    return _request


def stage(phase: str, detail: str = "") -> None:
    """Report the phase of the work to the host. Costs some microseconds; never called while something is timed.

    `phase` is a `protocol.Phase`; any other text is a detail of the present phase.
    """
    global _phase, _detail
    try:
        _phase, _detail = protocol.Phase(phase), detail
    except ValueError:
        _detail = phase
    _send(current_stage())


def current_stage() -> dict[str, str]:
    """The phase of the work and its detail."""
    return {"phase": _phase, "detail": _detail}


def fail(error: dict[str, str]) -> None:
    """Write the error of this worker as its outputs; send it to the host if it can't be written (to a full disk)."""
    outputs = {"schema": protocol.OUTPUTS_SCHEMA, "status": "error", "error": error}
    try:
        protocol.write_json(_path(protocol.OUTPUTS_FILE), outputs)
    except OSError:
        with suppress(OSError):
            _send({"outputs": outputs})


def log_tail(lines: int) -> str:
    """The last lines that this worker printed, the user's script included; "" where there is no log file."""
    import sys

    sys.stdout.flush()
    sys.stderr.flush()
    try:
        with open(_path(protocol.LOG_FILE), "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def serve(execute: Callable[..., dict[str, Any] | None]) -> None:
    """Wait for the host, then call `execute(**arguments)`. If it returns a dict, that becomes `outputs.json`.

    Import the runtime before this call: the host checks and hashes meanwhile.
    """
    global _request, _served_ns
    _served_ns = time.perf_counter_ns()
    _wait_for_go()
    _request = protocol.read_json(_path(protocol.REQUEST_FILE), protocol.REQUEST_SCHEMA)
    stage(protocol.Phase.LOADING)
    value = execute(**_request["arguments"])
    if _forked:
        os._exit(0)
    if value is not None:
        protocol.write_json(_path(protocol.OUTPUTS_FILE), {"schema": protocol.OUTPUTS_SCHEMA, "status": "ok", **value})
    elif not os.path.exists(_request["arguments"].get("outputs_file", _path(protocol.OUTPUTS_FILE))):
        raise Refused(
            protocol.Ending.PROTOCOL,
            "the worker ended without a result",
            "Its _execute must call harness.measure, return a dict, or write outputs_file.",
        )


def measure(
    call: Callable[[], Any] | Sequence[Callable[[], Any]],
    outputs_file: str,
    iterations: int,
    *,
    outputs: Callable[[Any], list[protocol.Tensor]] | Sequence[Callable[[Any], list[protocol.Tensor]]],
    load_s: float,
    first_s: float | None = None,
    facts: dict[str, Any] | None = None,
    threads: int | None = None,
    asked_threads: int | None = None,
    sample_source: Callable[[str, str], timing.SampleSource] | None = None,
    prepare: Callable[[], object] | None = None,
) -> None:
    """Warm `call` up, time the blocks that the host requests, and write samples, outputs and `outputs_file`.

    `call()` is exactly one inference; `outputs(value)` turns the value of the last timed call into tensors with the
    names of the expected ones. `load_s` is the time of loading, `first_s` that of the very first inference, if the
    worker needed one before, to learn the sizes of the outputs. `facts` are the runtime's own (versions, precision,
    compile time). `threads` is the number that the runtime reports to use, `asked_threads` the number that its own
    arguments request instead of the request's. `sample_source`, given the names of two files, takes the samples where
    the host's clock isn't enough (`gpu_timing.Inference.samples`), one iteration each. `prepare()` is called before
    each inference, outside of the timed part, for models that change their inputs or their own state; then each
    inference is a sample of its own. Without a host, `iterations` are timed.

    Where there are several sets of inputs (`inputs_files` of the model in the request), `call` and `outputs` have one
    for each.
    """
    rotation, call, readers = _rotation(call, outputs, iterations)
    stage(protocol.Phase.WARMING_UP)
    warmup = timing.warm_up(call, request().get("warmup"), prepare or timing.nothing)
    timer_ns = timing.timer_cost_ns()
    fastest_ns, typical_ns = rotation.typical_ns() if rotation else (warmup.typical_ns, warmup.typical_ns)
    group = 1 if sample_source or prepare else timing.group_size(fastest_ns, timer_ns)
    while request().get("exactly") and iterations % (group * len(readers)):
        group -= 1
    stage(protocol.Phase.MEASURING)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()  # a collection would count as time of the model
    files = _path(protocol.SAMPLES_FILE), _path(protocol.END_TO_END_FILE)
    samples: timing.SampleSource
    if rotation:
        samples = rotation.samples(group, files[0])
    else:
        samples = timing.Samples(call, group, files[0], prepare) if sample_source is None else sample_source(*files)
    blocks = []
    block_s = BLOCK_TICKS * machine.cpu_step_s()
    block_samples = int(block_s * 1e9 / max(1, typical_ns * group)) + 1
    block_samples = rotation.whole(block_samples) if rotation else block_samples
    interleaved = request().get("interleaved", False)
    for count in _requested(-(-iterations // group), block_samples, block_s, group):
        if interleaved:
            timing.rewarm(call, typical_ns, prepare or timing.nothing)
        block = samples.block(count)
        if interleaved:
            block["parked_s"] = timing.quiesce()
        blocks.append(block)
        _send({"block": block})
    samples.close()
    if collecting:
        gc.enable()
    stage(protocol.Phase.WRITING)
    for place, (read, value) in enumerate(zip(readers, samples.value if rotation else [samples.value], strict=True)):
        protocol.write_tensors(_path(protocol.outputs_file(place)), read(value))
    protocol.write_json(
        outputs_file,
        {
            "schema": protocol.OUTPUTS_SCHEMA,
            "status": "ok",
            "started_s": _started_ns / 1e9,
            "import_s": (_served_ns - _started_ns) / 1e9,
            "load_s": load_s,
            "first_inference_s": warmup.first_ns / 1e9 if first_s is None else first_s,
            "warmup": {
                "iterations": warmup.iterations,
                "wall_s": warmup.wall_s,
                "settled": warmup.settled,
                "curve": [[done, median_ns / 1e9] for done, median_ns in warmup.curve],
            },
            "timer_s": timer_ns / 1e9,
            "group": group,
            "sets": len(readers),
            "blocks": blocks,
            "threads": {
                "requested": asked_threads or request().get("threads"),
                "runtime": threads,
                "process": machine.threads(),
            },
            "facts": facts or {},
            "process": {**process_facts.collect(), **machine.state(), **resource_limits.state(), **network.state()},
        },
    )


def _rotation(
    call: Callable[[], Any] | Sequence[Callable[[], Any]],
    outputs: Callable[[Any], list[protocol.Tensor]] | Sequence[Callable[[Any], list[protocol.Tensor]]],
    iterations: int,
) -> tuple[Rotation | None, Callable[[], Any], list[Callable[[Any], list[protocol.Tensor]]]]:
    """The rotation of several calls, None for one; what is called to warm up; and what reads the outputs of each."""
    calls = [call] if callable(call) else list(call)
    readers = [outputs] if callable(outputs) else list(outputs)
    wanted = max(1, len((request().get("model") or {}).get("inputs_files", ())))
    if len(calls) != wanted:
        raise Refused(
            protocol.Ending.BAD_ARGUMENT,
            f"this runtime measures one set of inputs at a time, got {wanted}",
            "Give one set in each call.",
        )
    if wanted == 1:
        return None, calls[0], readers
    if request().get("exactly") and iterations % wanted:
        raise Refused(
            protocol.Ending.BAD_ARGUMENT,
            f"--iterations must be a multiple of the number of sets of inputs, {wanted}, got {iterations}",
            f"For example: --iterations {-(-iterations // wanted) * wanted}",
        )
    from rotation import Rotation

    rotation = Rotation(calls)
    return rotation, rotation.call, readers


def _requested(samples: int, block_samples: int, block_s: float, group: int) -> Iterator[int]:
    """The sizes of the blocks that the host requests; without a host, of blocks for `samples` samples."""
    if _control < 0:
        while samples > 0:
            # The last block includes a remainder that would be too short on its own.
            count = block_samples if samples >= 2 * block_samples else samples
            samples -= count
            yield count
        return
    resolution_s = machine.cpu_resolution_s()
    ready = {"block_samples": block_samples, "block_s": block_s, "group": group, "resolution_s": resolution_s}
    _send({"ready": ready})
    while (count := json.loads(_line())["samples"]) > 0:
        yield count


def _send(message: dict[str, Any]) -> None:
    """Send a message to the host, which sleeps until then."""
    if _events >= 0:
        # If the host is gone, the keeper is about to kill this process.
        with suppress(BrokenPipeError):
            os.write(_events, json.dumps(message).encode() + b"\n")


def _wait_for_go() -> None:
    """Sleep until the host sends "go"."""
    if _control >= 0:
        _line()


def _line() -> bytes:
    """The next line from the host. A closed pipe means that the host is gone, or no longer needs this worker."""
    line = b""
    if _forked:
        os._exit(0)
    while not line.endswith(b"\n"):
        byte = os.read(_control, 1)
        if not byte:
            os._exit(0)
        line += byte
    return line


def _path(name: str) -> str:
    return os.path.join(_run_dir, name)
