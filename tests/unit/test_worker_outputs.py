"""outputs.json is checked and decoded once; the request is written in the format that workers read."""

from __future__ import annotations

import math
from array import array
from pathlib import Path
from typing import Any

import pytest
from sample_blocks import QUIET

from isobench.supervisor import outputs
from isobench.supervisor.outputs import Measurement, WorkerOutputs
from isobench.supervisor.request import Request
from isobench.workers import protocol
from isobench.workers.protocol import ProtocolError

BLOCK = QUIET | {"samples": 2, "iterations": 2, "started_s": 1.0}
DISTURBED = BLOCK | {"cpu_others_s": 0.09}
WARMUP = {"iterations": 9, "wall_s": 0.5, "settled": True, "curve": [[5, 0.1], [9, 0.05]]}


def deep(levels: int) -> dict[str, Any]:
    """Objects within each other."""
    return {"a": deep(levels - 1)} if levels else {}


def test_every_member_may_be_missing() -> None:
    assert WorkerOutputs.from_json({"status": "ok"}) == WorkerOutputs(raw={"status": "ok"})


def test_members_are_decoded_and_unknown_ones_are_kept_in_the_raw_object() -> None:
    raw = {
        "load_s": 2,
        "warmup": WARMUP,
        "group": 3,
        "blocks": [BLOCK | {"iterations": 6}],
        "facts": {"a": 1},
        "models": ["x"],
    }
    found = WorkerOutputs.from_json(raw)
    assert (found.load_s, found.import_s, found.group, found.facts) == (2.0, None, 3, {"a": 1})
    assert [block.samples for block in found.blocks] == [2]
    assert found.warmup is not None
    assert found.warmup.curve == ((5, 0.1), (9, 0.05))
    assert found.raw["models"] == ["x"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"load_s": "1"}, "outputs.load_s must be float, got str"),
        ({"timer_s": True}, "outputs.timer_s must be float, got bool"),
        ({"import_s": math.inf}, "outputs.import_s must be finite"),
        ({"first_inference_s": -1.0}, "outputs.first_inference_s must be at least 0"),
        ({"group": 0}, "outputs.group must be at least 1, got 0"),
        ({"group": 1.5}, "outputs.group must be int, got float"),
        ({"group": 10**30}, "outputs.group must have at most 64 bits"),
        ({"sets": -1}, "outputs.sets must be at least 1"),
        ({"facts": []}, "outputs.facts must be dict, got list"),
        ({"facts": {"x": math.nan}}, "outputs.* must be finite, got nan"),
        ({"facts": {"compile_s": "long"}}, "outputs.facts.compile_s must be float, got str"),
        ({"facts": {"gpu": 5}}, "outputs.facts.gpu must be dict, got int"),
        ({"facts": deep(100)}, "nested more than"),
        ({"threads": "many"}, "outputs.threads must be dict, got str"),
        ({"threads": {"requested": "many"}}, "outputs.threads.requested must be int, got str"),
        ({"process": {"cpu_resolution_s": "x"}}, "outputs.process.cpu_resolution_s must be float, got str"),
        ({"process": {"affinity": ["a"]}}, r"outputs.process.affinity\[0\] must be int, got str"),
        ({"process": {"nice": 99}}, "outputs.process.nice must be at least -20 and at most 19, got 99"),
        ({"process": {"peak_memory_bytes": -1}}, "outputs.process.peak_memory_bytes must be at least 0"),
        ({"blocks": {}}, "outputs.blocks must be list, got dict"),
        ({"blocks": [BLOCK, 7]}, r"outputs.blocks\[1\] must be dict, got int"),
        ({"blocks": [BLOCK | {"wall_s": None}]}, r"outputs.blocks\[0\].wall_s must be float, got NoneType"),
        ({"blocks": [BLOCK | {"wall_s": math.nan}]}, "must be finite, got nan"),
        ({"blocks": [BLOCK | {"wall_s": 0}]}, r"outputs.blocks\[0\]: wall_s must be at least a nanosecond per sample"),
        ({"blocks": [BLOCK | {"samples": -2}]}, r"outputs.blocks\[0\].samples must be at least 1, got -2"),
        ({"blocks": [BLOCK | {"iterations": 3}]}, r"outputs.blocks\[0\]: iterations must be a multiple of 2 samples"),
        ({"blocks": [BLOCK], "group": 2}, "each block must have 2 iterations .* per sample"),
        ({"latency_s": [0.1, "x"]}, r"outputs.latency_s\[1\] must be float, got str"),
        ({"latency_s": [1e300]}, r"outputs.latency_s\[0\] must be at least 0 and at most 1e\+09"),
        ({"warmup": 3}, "outputs.warmup must be dict, got int"),
        ({"warmup": WARMUP | {"iterations": "9"}}, "outputs.warmup.iterations must be int, got str"),
        ({"warmup": WARMUP | {"settled": "maybe"}}, "outputs.warmup.settled must be bool, got str"),
        ({"warmup": WARMUP | {"curve": [[1]]}}, "outputs.warmup: curve must be a list of pairs"),
    ],
)
def test_a_malformed_member_is_named(members: dict[str, Any], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        WorkerOutputs.from_json(members)


def test_disturbed_blocks_are_set_aside_once() -> None:
    found = WorkerOutputs.from_json({"blocks": [BLOCK, DISTURBED]})
    measurement = Measurement.of(found, array("q", [1, 2, 3, 4]), set_aside=True)
    assert measurement.selection.used == (True, False)
    assert list(measurement.used_ns) == [1, 2]
    assert list(Measurement.of(found, array("q", [1, 2, 3, 4]), set_aside=False).used_ns) == [1, 2, 3, 4]


def test_blocks_and_samples_must_agree() -> None:
    found = WorkerOutputs.from_json({"blocks": [BLOCK]})
    with pytest.raises(ProtocolError, match="the worker's blocks have 2 samples, its file 3"):
        Measurement.of(found, array("q", [1, 2, 3]), set_aside=True)
    with pytest.raises(ProtocolError, match="the worker's blocks have 2 samples, its file 1"):
        Measurement.of(found, array("q", [1, 2]), array("q", [1]), set_aside=True)


def test_latencies_in_the_json_become_a_samples_file(tmp_path: Path) -> None:
    found = WorkerOutputs.from_json({"latency_s": [0.001, 0.002]})
    measurement = outputs.read_measurement(tmp_path, found, set_aside=True)
    assert list(measurement.samples_ns) == [1_000_000, 2_000_000]
    assert protocol.read_samples(tmp_path / protocol.SAMPLES_FILE) == measurement.samples_ns


def test_samples_can_not_last_longer_than_their_blocks(tmp_path: Path) -> None:
    found = WorkerOutputs.from_json({"blocks": [BLOCK]})
    samples = tmp_path / protocol.SAMPLES_FILE
    samples.write_bytes(array("q", [10, 2**62]).tobytes())
    with pytest.raises(ProtocolError, match=r"the samples last longer than the worker's blocks \(0\.1 s\)"):
        outputs.read_measurement(tmp_path, found, set_aside=True)


@pytest.mark.parametrize("latency_s", [[0.0], [0.1, 1e-12]])
def test_a_sample_must_take_time(tmp_path: Path, latency_s: list[float]) -> None:
    with pytest.raises(ProtocolError, match="there are no samples, or one is not longer than 0 ns"):
        outputs.read_measurement(tmp_path, WorkerOutputs.from_json({"latency_s": latency_s}), set_aside=True)


def test_a_request_is_written_with_its_schema(tmp_path: Path) -> None:
    Request(arguments={"a": 1}, threads=2, seed=3, model={"hash": "x"}).write(tmp_path)
    request = protocol.read_json(tmp_path / protocol.REQUEST_FILE, protocol.REQUEST_SCHEMA)
    assert request == {
        "schema": protocol.REQUEST_SCHEMA,
        "arguments": {"a": 1},
        "threads": 2,
        "seed": 3,
        "warmup": None,
        "exactly": False,
        "interleaved": False,
        "device": "cpu",
        "model": {"hash": "x"},
    }
