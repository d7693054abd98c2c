"""outputs.json is checked and decoded once; the request is written in the format that workers read."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import pytest

from isobench.supervisor import outputs
from isobench.supervisor.outputs import Measurement, WorkerOutputs
from isobench.supervisor.request import Request
from isobench.workers import protocol
from isobench.workers.protocol import ProtocolError

BLOCK = {
    "samples": 2,
    "iterations": 2,
    "started_s": 1.0,
    "wall_s": 0.1,
    "cpu_own_s": 0.1,
    "cpu_others_s": 0.0,
    "steal_s": 0.0,
    "throttled_s": 0.0,
    "involuntary_switches": 0,
    "minor_faults": 0,
    "major_faults": 0,
}
DISTURBED = BLOCK | {"cpu_others_s": 0.09}
WARMUP = {"iterations": 9, "wall_s": 0.5, "settled": True, "curve": [[5, 0.1], [9, 0.05]]}


def test_every_member_may_be_missing() -> None:
    assert WorkerOutputs.from_json({"status": "ok"}) == WorkerOutputs(raw={"status": "ok"})


def test_members_are_decoded_and_unknown_ones_are_kept_in_the_raw_object() -> None:
    raw = {"load_s": 2, "warmup": WARMUP, "group": 3, "blocks": [BLOCK], "facts": {"a": 1}, "models": ["x"]}
    found = WorkerOutputs.from_json(raw)
    assert (found.load_s, found.import_s, found.group, found.facts) == (2.0, None, 3, {"a": 1})
    assert [block.samples for block in found.blocks] == [2]
    assert found.warmup is not None
    assert found.warmup.curve == ((5, 0.1), (9, 0.05))
    assert found.raw["models"] == ["x"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"load_s": "1"}, "'load_s' must be a number, got str"),
        ({"timer_s": True}, "'timer_s' must be a number, got bool"),
        ({"group": 0}, "'group' must be a whole number of at least 1, got 0"),
        ({"group": 1.5}, "'group' must be a whole number of at least 1, got 1.5"),
        ({"facts": []}, "'facts' must be an object, got list"),
        ({"process": {"cpu_resolution_s": "x"}}, "'cpu_resolution_s' must be a number, got str"),
        ({"blocks": {}}, "'blocks' must be a list, got dict"),
        ({"blocks": [BLOCK, 7]}, r"'blocks\[1\]': a block must have a number for samples"),
        ({"blocks": [BLOCK | {"wall_s": None}]}, r"'blocks\[0\]': a block must have a number for wall_s"),
        ({"latency_s": [0.1, "x"]}, "'latency_s' must be a list of numbers"),
        ({"warmup": 3}, "'warmup': must be an object"),
        ({"warmup": WARMUP | {"iterations": "9"}}, "'warmup': iterations and wall_s must be numbers"),
        ({"warmup": WARMUP | {"curve": [[1]]}}, "'warmup': curve must be a list of pairs"),
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


@pytest.mark.parametrize("latency_s", [[0.0], [0.1, -0.1]])
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
