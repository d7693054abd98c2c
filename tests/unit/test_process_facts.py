from __future__ import annotations

import _ctypes
import ctypes
import json
import os
from pathlib import Path

import pytest

from isobench.workers import process_facts


def test_a_loaded_library_is_listed_with_its_build_id() -> None:
    libraries = {library["path"]: library for library in process_facts.native_libraries()}
    loaded = libraries[os.path.realpath(_ctypes.__file__)]
    assert loaded["size_bytes"] == Path(_ctypes.__file__).stat().st_size
    assert ctypes.sizeof(ctypes.c_long) == 8  # the module is in use, not only on disk
    assert any("libc.so" in path for path in libraries)


def test_a_build_id_is_what_the_linker_wrote(tmp_path: Path) -> None:
    gnu_note = bytes.fromhex("04000000 08000000 03000000 474e5500 0123456789abcdef")
    other_note = bytes.fromhex("04000000 04000000 01000000 474e5500 00000000")
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + bytes(16) + (64).to_bytes(8, "little") + bytes(14)
    header += (56).to_bytes(2, "little") + (1).to_bytes(2, "little") + bytes(6)
    notes = other_note + gnu_note
    segment = (4).to_bytes(8, "little") + (120).to_bytes(8, "little") + bytes(16)
    segment += len(notes).to_bytes(8, "little") + bytes(16)
    (tmp_path / "a.so").write_bytes(header + segment + notes)
    assert process_facts.build_id(str(tmp_path / "a.so")) == "0123456789abcdef"
    (tmp_path / "b.so").write_bytes(b"INPUT(-lm)")
    assert process_facts.build_id(str(tmp_path / "b.so")) is None


def test_distributions_are_named_by_their_metadata_folders(tmp_path: Path) -> None:
    for name in ("numpy-2.4.6.dist-info", "Ruamel_yaml-1.0.dist-info", "numpy", "x.pth", "torch-2.13.0+cpu.dist-info"):
        (tmp_path / name).mkdir()
    assert process_facts.distributions(str(tmp_path)) == ["numpy==2.4.6", "ruamel-yaml==1.0", "torch==2.13.0+cpu"]


def test_only_listed_variables_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    recorded = process_facts.recorded_variables()
    assert recorded["OMP_NUM_THREADS"] == "3"
    assert "secret" not in recorded.values()


def test_facts_about_the_process_are_json() -> None:
    facts = json.loads(json.dumps(process_facts.collect(), allow_nan=False))
    assert facts["pid"] == os.getpid()
    assert facts["peak_memory_bytes"] > 1 << 20
    assert any(name.startswith("pytest==") for name in facts["distributions"])
