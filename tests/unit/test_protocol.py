from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgpack
import pytest

from isobench.workers import protocol
from isobench.workers.protocol import ProtocolError, Tensor


def test_tensors_are_read_as_they_were_written(tmp_path: Path) -> None:
    tensors = [
        Tensor("args.0", "float32", (2, 3), bytes(24)),
        Tensor("kwargs.mask", "bool", (), b"\1"),
        Tensor("empty", "bfloat16", (0, 7), b""),
        Tensor("ünïcode", "complex128", (1,), bytes(range(16))),
        Tensor("text", "string", (2,), protocol.pack_strings(["Grüße", ""])),
        Tensor("small", "int4", (3,), b"\1\2\x0f"),
    ]
    protocol.write_tensors(tmp_path / "t", tensors)
    assert protocol.read_tensors(tmp_path / "t") == tensors


def test_text_is_packed_with_its_lengths_and_need_not_be_utf_8() -> None:
    texts = ["a", "", "Grüße", "zero\0inside", b"\xff".decode(errors="surrogateescape")]
    packed = protocol.pack_strings(texts)
    assert packed.startswith(b"\1\0\0\0a\0\0\0\0\7\0\0\0Gr")
    assert protocol.unpack_strings(packed) == texts
    with pytest.raises(ProtocolError, match="ends in the middle of its element 4"):
        protocol.unpack_strings(packed[:-1])


def test_json_is_written_completely_or_not_at_all(tmp_path: Path) -> None:
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
        ("[1]", "must be a JSON object, got list"),
        ('{"schema": "s/2"}', "must have the schema 's/1', got 's/2'"),
        ("{}", "must have the schema 's/1', got None"),
        ("\xff\xfe", "is not valid JSON"),
    ],
)
def test_other_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ProtocolError, match=message):
        protocol.read_json(tmp_path / "x.json", "s/1")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"schema": "other", "tensors": []}, "must have the schema 'isobench.tensors/1', got 'other'"),
        ({"schema": protocol.TENSORS_SCHEMA}, "is not a tensors file"),
        ([1, 2], "is not a tensors file"),
        (
            {"name": "x", "dtype": "float32", "shape": [2], "data": bytes(4)},
            r"must have 8 bytes \(float32\[2\]\)",
        ),
        ({"name": "x", "dtype": "string", "shape": [1], "data": b"\2\0\0\0a"}, "must have 1 strings"),
        ({"name": "x", "dtype": "string", "shape": [1], "data": b"\2\0\0"}, "must have 1 strings"),
        ({"name": "x", "dtype": "string", "shape": [2], "data": b"\1\0\0\0a"}, "must have 2 strings"),
        ({"name": "x", "dtype": "object", "shape": [], "data": b""}, "unknown type 'object'"),
        ({"name": "x", "dtype": "float32", "shape": []}, "is not a tensors file"),
    ],
)
def test_other_tensors_files_are_refused(tmp_path: Path, value: object, message: str) -> None:
    if isinstance(value, dict) and "name" in value:
        value = {"schema": protocol.TENSORS_SCHEMA, "tensors": [value]}
    (tmp_path / "t").write_bytes(msgpack.packb(value))
    with pytest.raises(ProtocolError, match=message):
        protocol.read_tensors(tmp_path / "t")


def test_an_incomplete_tensors_file_is_refused(tmp_path: Path) -> None:
    protocol.write_tensors(tmp_path / "t", [Tensor("x", "float32", (100,), bytes(400))])
    whole = (tmp_path / "t").read_bytes()
    (tmp_path / "t").write_bytes(whole[:200])
    with pytest.raises(ProtocolError, match="is not a tensors file"):
        protocol.read_tensors(tmp_path / "t")


def test_the_exchange_works_on_pythons_without_str_enum() -> None:
    workers = Path(__file__).parents[2] / "workers"
    code = (
        f"import enum, sys; del enum.StrEnum; sys.path.insert(0, {str(workers)!r})\n"
        "import harness, json, protocol\n"
        "phase = protocol.Phase.LOADING\n"
        "print(f'{phase}', str(phase), json.dumps(phase), phase == 'loading', protocol.Phase('loading') is phase)"
    )
    done = subprocess.run([sys.executable, "-I", "-B", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["loading", "loading", '"loading"', "True", "True"]


def test_only_a_regular_file_of_a_limited_size_is_read(tmp_path: Path) -> None:
    pipe, device, large = (tmp_path / name for name in ("pipe", "device", "large"))
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    large.write_bytes(bytes(9))
    for file in (pipe, device):
        with pytest.raises(protocol.ProtocolError, match="must be a regular file"):
            protocol.read_bytes(file, most_bytes=8)
    with pytest.raises(protocol.ProtocolError, match="must have at most 8 bytes"):
        protocol.read_bytes(large, most_bytes=8)
    assert protocol.read_bytes(large, most_bytes=9) == bytes(9)


def test_json_that_is_nested_too_deeply_is_malformed(tmp_path: Path) -> None:
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 200_000 + "]" * 200_000)
    with pytest.raises(protocol.ProtocolError, match="nested too deeply"):
        protocol.read_json(deep, protocol.OUTPUTS_SCHEMA)
