"""What a worker wrote into its run directory, checked and decoded once."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from isobench.analysis.noise import Block, Selection, select, used_samples
from isobench.analysis.warmup import Warmup
from isobench.record import record
from isobench.workers import protocol
from isobench.workers.protocol import ProtocolError


@record(frozen=True, slots=True, kw_only=True)
class WorkerOutputs:
    """The contents of `outputs.json` of a worker that succeeded.

    `raw` is the whole object; members that aren't listed here are the worker's own, such as those of a build. A worker
    may leave out any member. `started_s` is on the monotonic clock, which all processes share. `latency_s` are the
    samples of a worker that writes no samples file. `sets` is the number of sets of inputs that it used in rotation.
    """

    raw: Mapping[str, Any] = field(default_factory=dict)
    started_s: float | None = None
    import_s: float | None = None
    load_s: float | None = None
    first_inference_s: float | None = None
    timer_s: float | None = None
    warmup: Warmup | None = None
    group: int = 1
    blocks: tuple[Block, ...] = ()
    threads: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    process: Mapping[str, Any] = field(default_factory=dict)
    latency_s: tuple[float, ...] = ()
    sets: int = 1

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> WorkerOutputs:
        """Check and decode the object.

        Raises:
            ProtocolError: a member is malformed; the message names it.
        """
        group = raw.get("group", 1)
        if type(group) is not int or group < 1:
            raise ProtocolError(f"'group' must be a whole number of at least 1, got {group!r}")
        sets = raw.get("sets", 1)
        if type(sets) is not int or sets < 1:
            raise ProtocolError(f"'sets' must be a whole number of at least 1, got {sets!r}")
        process = _object(raw, "process")
        _number(process, "cpu_resolution_s")
        return cls(
            raw=raw,
            started_s=_number(raw, "started_s"),
            import_s=_number(raw, "import_s"),
            load_s=_number(raw, "load_s"),
            first_inference_s=_number(raw, "first_inference_s"),
            timer_s=_number(raw, "timer_s"),
            warmup=_warmup(raw.get("warmup")),
            group=group,
            blocks=_blocks(raw),
            threads=_object(raw, "threads"),
            facts=_object(raw, "facts"),
            process=process,
            latency_s=_seconds(raw, "latency_s"),
            sets=sets,
        )

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
        FileNotFoundError: there are no samples.
        ProtocolError: they are malformed, or don't fit the blocks.
    """
    file, end_to_end = run_dir / protocol.SAMPLES_FILE, run_dir / protocol.END_TO_END_FILE
    if outputs.latency_s:
        samples_ns = array("q", [round(seconds * 1e9) for seconds in outputs.latency_s])
        protocol.write_bytes(file, b"".join(sample.to_bytes(8, "little", signed=True) for sample in samples_ns))
    else:
        samples_ns = protocol.read_samples(file)
    if not samples_ns or min(samples_ns) <= 0:
        raise ProtocolError("there are no samples, or one is not longer than 0 ns")
    end_to_end_ns = protocol.read_samples(end_to_end) if end_to_end.exists() else None
    return Measurement.of(outputs, samples_ns, end_to_end_ns, set_aside=set_aside)


def _number(raw: Mapping[str, Any], name: str) -> float | None:
    value = raw.get(name)
    if value is not None and type(value) not in {int, float}:
        raise ProtocolError(f"{name!r} must be a number, got {type(value).__name__}")
    return None if value is None else float(value)


def _object(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw.get(name, {})
    if not isinstance(value, dict):
        raise ProtocolError(f"{name!r} must be an object, got {type(value).__name__}")
    return value


def _list(raw: Mapping[str, Any], name: str) -> list[Any]:
    value = raw.get(name, [])
    if not isinstance(value, list):
        raise ProtocolError(f"{name!r} must be a list, got {type(value).__name__}")
    return value


def _seconds(raw: Mapping[str, Any], name: str) -> tuple[float, ...]:
    values = _list(raw, name)
    if not all(type(value) in {int, float} for value in values):
        raise ProtocolError(f"{name!r} must be a list of numbers")
    return tuple(values)


def _warmup(value: Any) -> Warmup | None:
    try:
        return None if value is None else Warmup.from_json(value)
    except ValueError as error:
        raise ProtocolError(f"'warmup': {error}") from None


def _blocks(raw: Mapping[str, Any]) -> tuple[Block, ...]:
    blocks = []
    for number, value in enumerate(_list(raw, "blocks")):
        try:
            blocks.append(Block.from_json(value if isinstance(value, dict) else {}))
        except ValueError as error:
            raise ProtocolError(f"'blocks[{number}]': {error}") from None
    return tuple(blocks)
