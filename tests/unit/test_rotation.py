from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isobench.workers import protocol

WORKERS = Path(__file__).parents[2] / "workers"


@pytest.fixture
def rotation(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(WORKERS))
    for name in ("rotation", "machine"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("rotation")


def calls(made: list[str], names: str) -> list[Callable[[], str]]:
    def called(name: str) -> Callable[[], str]:
        def call() -> str:
            made.append(name)
            return f"{name}{len(made)}"

        return call

    return [called(name) for name in names]


def test_each_sample_is_of_the_next_set_and_each_block_of_whole_rotations(rotation: Any, tmp_path: Path) -> None:
    made: list[str] = []
    samples = rotation.Rotation(calls(made, "abc")).samples(1, str(tmp_path / "samples.bin"))
    first, second = samples.block(4), samples.block(3)
    samples.close()
    assert "".join(made) == "abcabcabc"
    assert (first["samples"], first["iterations"], second["samples"]) == (6, 6, 3)
    assert len(protocol.read_samples(tmp_path / "samples.bin")) == 9
    assert samples.value == ["a7", "b8", "c9"]


def test_a_group_of_iterations_is_of_one_set(rotation: Any, tmp_path: Path) -> None:
    made: list[str] = []
    samples = rotation.Rotation(calls(made, "ab")).samples(3, str(tmp_path / "samples.bin"))
    block = samples.block(2)
    samples.close()
    assert "".join(made) == "aaabbb"
    assert (block["samples"], block["iterations"]) == (2, 6)


def test_warming_up_calls_each_in_turn_and_the_fastest_is_known(rotation: Any) -> None:
    made: list[str] = []
    several = rotation.Rotation(calls(made, "abc"))
    for _ in range(4):
        several.call()
    assert "".join(made) == "abca"
    fastest_ns, typical_ns = several.typical_ns()
    assert 0 < fastest_ns <= typical_ns
    assert (several.whole(1), several.whole(6), several.whole(7)) == (3, 6, 9)
