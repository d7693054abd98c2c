from __future__ import annotations

import os
from pathlib import Path

import msgpack
import pytest

from isobench.workers import protocol
from isobench.workers.protocol import ProtocolError, Tensor


def test_tensors_come_back_as_they_were(tmp_path: Path) -> None:
    tensors = [
        Tensor("args.0", "float32", (2, 3), bytes(24)),
        Tensor("kwargs.mask", "bool", (), b"\1"),
        Tensor("empty", "bfloat16", (0, 7), b""),
        Tensor("ünïcode", "complex128", (1,), bytes(range(16))),
    ]
    protocol.write_tensors(tmp_path / "t", tensors)
    assert protocol.read_tensors(tmp_path / "t") == tensors


def test_json_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    protocol.write_json(file, {"schema": "s/1", "n": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        protocol.write_json(file, {"schema": "s/1", "n": float("nan")})
    assert protocol.read_json(file, "s/1")["n"] == 1
    assert os.listdir(tmp_path) == ["x.json"]  # noqa: PTH208


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": "s/1"', "is not valid JSON"),
        ("[1]", "holds list, not an object"),
        ('{"schema": "s/2"}', "has the schema 's/2', not 's/1'"),
        ("{}", "has the schema None"),
        ("\xff\xfe", "is not valid JSON"),
    ],
)
def test_json_of_another_kind_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ProtocolError, match=message):
        protocol.read_json(tmp_path / "x.json", "s/1")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"schema": "other", "tensors": []}, "has the schema 'other'"),
        ({"schema": protocol.TENSORS_SCHEMA}, "no tensors file"),
        ([1, 2], "no tensors file"),
        ({"name": "x", "dtype": "float32", "shape": [2], "data": bytes(4)}, r"float32\[2\] comes with 4 bytes"),
        ({"name": "x", "dtype": "object", "shape": [], "data": b""}, "unknown type 'object'"),
        ({"name": "x", "dtype": "float32", "shape": []}, "no tensors file"),
    ],
)
def test_tensors_of_another_kind_are_refused(tmp_path: Path, value: object, message: str) -> None:
    if isinstance(value, dict) and "name" in value:
        value = {"schema": protocol.TENSORS_SCHEMA, "tensors": [value]}
    (tmp_path / "t").write_bytes(msgpack.packb(value))
    with pytest.raises(ProtocolError, match=message):
        protocol.read_tensors(tmp_path / "t")


def test_half_a_tensors_file_is_refused(tmp_path: Path) -> None:
    protocol.write_tensors(tmp_path / "t", [Tensor("x", "float32", (100,), bytes(400))])
    whole = (tmp_path / "t").read_bytes()
    (tmp_path / "t").write_bytes(whole[:200])
    with pytest.raises(ProtocolError, match="no tensors file"):
        protocol.read_tensors(tmp_path / "t")
