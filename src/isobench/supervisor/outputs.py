"""What a worker wrote into its run directory, checked and decoded once."""

from __future__ import annotations

import json
import math
import os
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Any

from isobench.analysis.noise import Block, Selection, select, used_samples
from isobench.analysis.warmup import Warmup
from isobench.codec import decode
from isobench.constraints import Amount, Count, PositiveCount, Seconds, Within
from isobench.record import record
from isobench.workers import protocol
from isobench.workers.protocol import ProtocolError

_CLOCKS_DIFFER = 0.05
"""How far the clock of a device may differ from the host's."""
_LONGEST_S = 1e9
"""The longest measurement of a worker that reports no blocks."""


# The members of `threads`, `facts` and `process` that isobench reads: all may be missing, and there may be more.
@record(frozen=True, slots=True, kw_only=True)
class _Threads:
    requested: Count | None = None
    runtime: Count | None = None
    process: Count | None = None


@record(frozen=True, slots=True, kw_only=True)
class _Facts:
    compile_s: Seconds | None = None
    graphs: Count | None = None
    weights_sha256: str | None = None
    timing: str | None = None
    gpu: Mapping[str, Any] = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class _Process:
    pid: Count | None = None
    python: str | None = None
    peak_memory_bytes: Count | None = None
    cpu_resolution_s: Seconds | None = None
    affinity: tuple[Count, ...] = ()
    nice: Annotated[int, Within(-20, 19)] = 0
    memory_nodes: tuple[Count, ...] = ()
    threads: Count | None = None
    frequencies_mhz: tuple[Amount, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    distributions: tuple[str, ...] = ()
    native_libraries: tuple[Mapping[str, Any], ...] = ()
    memory_limit: Mapping[str, Any] | None = None
    network: str | None = None


_MOST_BYTES = 1 << 20
"""Of each member that a Result contains as it is."""
_MEMBERS = {"threads": _Threads, "facts": _Facts, "process": _Process}


@record(frozen=True, slots=True, kw_only=True)
class WorkerOutputs:
    """The contents of `outputs.json` of a worker that succeeded.

    `raw` is the whole object; members that aren't listed here are the worker's own, such as those of a build. A worker
    may leave out any member. `started_s` is on the monotonic clock, which all processes share. `latency_s` are the
    samples of a worker that writes no samples file. `sets` is the number of sets of inputs that it used in rotation.
    """

    raw: Mapping[str, Any] = field(default_factory=dict)
    started_s: Seconds | None = None
    import_s: Seconds | None = None
    load_s: Seconds | None = None
    first_inference_s: Seconds | None = None
    timer_s: Seconds | None = None
    warmup: Warmup | None = None
    group: PositiveCount = 1
    blocks: tuple[Block, ...] = ()
    threads: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    process: Mapping[str, Any] = field(default_factory=dict)
    latency_s: tuple[Seconds, ...] = ()
    sets: PositiveCount = 1
    crash: str = ""

    @classmethod
    def from_json(cls, raw: Mapping[str, Any], *, crash: str = "") -> WorkerOutputs:
        """Check and decode the object. `crash` says how the worker ended after it had written it, if not normally.

        Raises:
            ProtocolError: a member is malformed; the message names it.
        """
        try:
            outputs: WorkerOutputs = decode(cls, {**raw, "raw": {}, "crash": crash}, "outputs", is_open=True)
            for name, kind in _MEMBERS.items():
                value = getattr(outputs, name)
                decode(kind, value, f"outputs.{name}", is_open=True)
                if len(json.dumps(value)) > _MOST_BYTES:
                    raise ValueError(f"outputs.{name} must have at most {_MOST_BYTES:,} bytes")
            more = {name: value for name, value in raw.items() if name not in cls.__slots__}
            decode(Any, more, "outputs")  # what only a plugin reads
        except ValueError as error:
            raise ProtocolError(str(error)) from None
        return replace(outputs, raw=raw)

    def __post_init__(self) -> None:
        if any(block.iterations != block.samples * self.group for block in self.blocks):
            raise ValueError(f"each block must have {self.group} iterations ('group') per sample")

    @property
    def resolution_s(self) -> float:
        """The step in which the worker's counters of CPU time grow."""
        return float(self.process.get("cpu_resolution_s") or 0.0)


@record(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The samples of one run: nanoseconds of `outputs.group` iterations each.

    `end_to_end_ns` are as many, from host memory to host memory, where the model ran on a GPU; else there are none.
    `selection` says which blocks the figures are made from, and `used_ns` are the samples of these.
    """

    outputs: WorkerOutputs
    samples_ns: array[int]
    end_to_end_ns: array[int]
    selection: Selection
    used_ns: array[int]

    @classmethod
    def of(
        cls, outputs: WorkerOutputs, samples_ns: array[int], end_to_end_ns: array[int] | None = None, *, set_aside: bool
    ) -> Measurement:
        """Set disturbed blocks aside, if `set_aside`.

        Raises:
            ProtocolError: the blocks don't have as many samples as there are.
        """
        blocks, end_to_end = outputs.blocks, array("q") if end_to_end_ns is None else end_to_end_ns
        reported = sum(block.samples for block in blocks)
        for samples in filter(None, (samples_ns, end_to_end)):
            if blocks and reported != len(samples):
                raise ProtocolError(f"the worker's blocks have {reported} samples, its file {len(samples)}")
        selection = select(blocks, resolution_s=outputs.resolution_s, enabled=set_aside)
        return cls(
            outputs=outputs,
            samples_ns=samples_ns,
            end_to_end_ns=end_to_end,
            selection=selection,
            used_ns=used_samples(samples_ns, blocks, selection.used),
        )


def read(run_dir: Path) -> WorkerOutputs:
    """Read `outputs.json`, that of a worker which succeeded.

    Raises:
        FileNotFoundError: the worker left none.
        ProtocolError: it's malformed.
    """
    return WorkerOutputs.from_json(protocol.read_json(run_dir / protocol.OUTPUTS_FILE, protocol.OUTPUTS_SCHEMA))


def read_measurement(run_dir: Path, outputs: WorkerOutputs, *, set_aside: bool) -> Measurement:
    """Read the samples. Those of `latency_s` are written to the samples file, where the Result expects them.

    Raises:
        OSError: there are no samples, or they can't be read or written.
        ProtocolError: they are malformed, or don't fit the blocks.
    """
    file, end_to_end = run_dir / protocol.SAMPLES_FILE, run_dir / protocol.END_TO_END_FILE
    most = sum(block.samples for block in outputs.blocks) or protocol.MOST_SAMPLES
    if outputs.latency_s:
        samples_ns = array("q", [round(seconds * 1e9) for seconds in outputs.latency_s])
        protocol.write_bytes(file, b"".join(sample.to_bytes(8, "little", signed=True) for sample in samples_ns))
    else:
        samples_ns = protocol.read_samples(file, most=most)
    end_to_end_ns = protocol.read_samples(end_to_end, most=most) if os.path.lexists(end_to_end) else None
    for samples in (samples_ns, end_to_end_ns):
        if samples is not None:
            _check(samples, outputs.blocks)
    return Measurement.of(outputs, samples_ns, end_to_end_ns, set_aside=set_aside)


def _check(samples_ns: array[int], blocks: Sequence[Block]) -> None:
    if not samples_ns or min(samples_ns) <= 0:
        raise ProtocolError("there are no samples, or one is not longer than 0 ns")
    lasted_s = math.fsum(block.wall_s for block in blocks) if blocks else _LONGEST_S
    if sum(samples_ns) > (1 + _CLOCKS_DIFFER) * 1e9 * lasted_s:
        raise ProtocolError(f"the samples last longer than the worker's blocks ({lasted_s:g} s)")
