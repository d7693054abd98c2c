from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isobench.analysis import input_sets
from isobench.builds import given_inputs
from isobench.builds.build import Build
from isobench.builds.input_sets import MOST, combined
from isobench.errors import UsageError
from isobench.planning.models import Model, TensorSpec


def blocks(typical_s: list[float], *, count: int, seed: int = 0) -> list[Any]:
    """Blocks of 60 samples that take turns; all of a block are up to 20 % slower together, as beside a neighbour."""
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        drift = 1 + 0.2 * generator.random()
        turns = np.resize(np.array(typical_s), 60)
        made.append(turns * drift * (1 + 0.02 * generator.standard_normal(60)))
    return made


def test_a_slow_set_among_fast_ones_is_found() -> None:
    found = input_sets.compare(["a", "b", "c"], [blocks([1e-3, 1e-3, 1.2e-3], count=20)], floor=0.03)
    assert found.depends is True
    assert found.ratio.within.low < 1.2 < found.ratio.within.high
    assert [one.name for one in found.sets] == ["a", "b", "c"]
    assert found.sets[2].median_s == pytest.approx(1.3e-3, rel=0.1)
    assert found.sets[0].within.low < found.sets[0].median_s < found.sets[0].within.high


def test_equal_sets_are_not_called_different_although_the_machine_drifts() -> None:
    for seed in range(20):
        found = input_sets.compare(list("abcd"), [blocks([1e-3] * 4, count=12, seed=seed)], floor=0.03)
        assert found.depends is False


def test_a_few_blocks_do_not_tell() -> None:
    found = input_sets.compare(["a", "b"], [blocks([1e-3, 2e-3], count=2)], floor=0.03)
    assert found.depends is None


def build(name: str, shape: tuple[int, ...] = (2, 4)) -> Build:
    return Build(
        id=name * 16,
        folder=Path("builds") / (name * 16),
        model=Model(path=Path("m.onnx")),
        part="",
        class_name="",
        hash="12ab34cd",
        inputs=(TensorSpec(name="x", dtype="float32", shape=shape),),
        signature="",
        parameters=0,
        weights_sha256="",
        reference="",
        max_depth=0,
        onnx=None,
        onnx_error=None,
        model_sha256="",
    )


def test_the_first_set_has_the_others_and_a_worker_gets_all_files() -> None:
    [made] = combined([[build("a")], [build("b")], [build("c")]], ["a.npz", "b.npz", "c.npz"])
    assert [one.input_set for one in made.every_set] == ["a.npz", "b.npz", "c.npz"]
    assert made.request()["inputs_files"] == [f"builds/{name * 16}/inputs.msgpack" for name in "abc"]
    assert [folder.name for folder in made.reads] == ["a" * 16, "b" * 16, "c" * 16]


def test_sets_of_other_shapes_are_refused() -> None:
    message = r"a\.npz has x: float32\[2, 4\] and b\.npz x: float32\[3, 4\]"
    with pytest.raises(UsageError, match=message):
        combined([[build("a")], [build("b", (3, 4))]], ["a.npz", "b.npz"])
    with pytest.raises(UsageError, match=r"a\.npz has 1 tensors and b\.npz 0"):
        combined([[build("a")], [replace(build("b"), inputs=())]], ["a.npz", "b.npz"])
    with pytest.raises(UsageError, match=rf"at most {MOST} sets"):
        combined([[build("a")]] * 65, ["a.npz"] * 65)


def test_a_file_with_an_input_that_the_set_has_begins_another_set(tmp_path: Path) -> None:
    for name, arrays in {"a1": ["x"], "a2": ["mask"], "b1": ["x"], "b2": ["mask"]}.items():
        np.savez(tmp_path / f"{name}.npz", **{array: np.ones(1) for array in arrays})
    model = Model(path=Path("m.onnx"), inputs=tuple(tmp_path / f"{name}.npz" for name in ("a1", "a2", "b1", "b2")))
    names = [[path.name for path in one.inputs] for one in given_inputs.split(model)]
    assert names == [["a1.npz", "a2.npz"], ["b1.npz", "b2.npz"]]


def test_files_without_names_and_folders_are_a_set_each(tmp_path: Path) -> None:
    for number in range(3):
        folder = tmp_path / "model" / f"test_data_set_{number}"
        folder.mkdir(parents=True)
        (folder / "input_0.pb").write_bytes(b"")
        np.save(tmp_path / f"{number}.npy", np.ones(1))
    files = tuple(tmp_path / f"{number}.npy" for number in range(2))
    assert [one.inputs for one in given_inputs.split(Model(path=Path("m.onnx"), inputs=files))] == [
        (files[0],),
        (files[1],),
    ]
    [*split] = given_inputs.split(Model(path=Path("m.onnx"), inputs=(tmp_path / "model",)))
    assert [one.inputs[0].name for one in split] == [f"test_data_set_{number}" for number in range(3)]
