"""The comparison of two Results, on made-up samples."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from called import call
from sample_results import BLOCK, HOST, make, measured, save

from isobench import results
from isobench.errors import ResultError
from isobench.failures import Ending
from isobench.planning.plan import SweepPlace
from isobench.results import (
    Failed,
    Measured,
    Provenance,
    Result,
    SavedResult,
    Turns,
    compare,
    noise_floor,
    row,
)
from isobench.results.noise_floor import Floor
from isobench.results.row import Row

Runs = Sequence[Sequence[float]]
"""For each run, the milliseconds of each of its blocks."""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))


def outcome_of(
    runs: Runs, *, used: Sequence[Sequence[bool]] | None = None, turns: str = "", group: int = 1, place: int = 0
) -> Measured:
    [run] = measured(4.0).runs
    return replace(
        measured(4.0),
        runs=tuple(
            replace(
                run,
                group=group,
                blocks=(BLOCK,) * len(blocks),
                used=tuple(used[number]) if used else (True,) * len(blocks),
                samples_file=f"run-{number}.bin",
            )
            for number, blocks in enumerate(runs)
        ),
        turns=Turns(id=turns, place=place, seed=0, order=()) if turns else None,
    )


def saved(folder: Path, name: str, runs: Runs, **changes: Any) -> SavedResult:
    """A Result with samples beside it: those of a block are around its milliseconds."""
    group = changes.get("group", 1)
    own = {key: changes.pop(key) for key in [*changes] if key in {"used", "turns", "group", "place"}}
    folder = folder / name
    folder.mkdir()
    for number, blocks in enumerate(runs):
        samples = array("q", [round(each * part * group * 1e6) for each in blocks for part in (0.9, 0.99, 1.01, 1.5)])
        (folder / f"run-{number}.bin").write_bytes(samples.tobytes())
    return SavedResult(result=make(outcome=outcome_of(runs, **own), id=name, **changes), folder=folder)


def noise(runs: int, blocks: int, share: float, seed: int) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(seed)
    return np.asarray(np.exp(share * generator.standard_normal((runs, blocks))))


def interleaved(folder: Path, ratio: float, *, pairs: int = 10, share: float = 0.002, **second: Any) -> Any:
    ours, theirs = (noise(pairs, 30, share, seed) for seed in (1, 2))
    return compare.compare(
        saved(folder, "first", (4 * ours).tolist(), turns="t"),
        saved(folder, "second", (4 * ratio * theirs).tolist(), **{"turns": "t", **second}),
    )


@pytest.mark.parametrize(
    ("ratio", "verdict", "words"),
    [
        (1.1, "slower", "second is 10.0% slower than first (ratio 1.1"),
        (0.9, "faster", "second is 10.0% faster than first (ratio 0.9"),
        (1.0, "same", "no difference larger than 1.0% between second and first (ratio "),
    ],
)
def test_a_difference_is_reported_with_its_direction(tmp_path: Path, ratio: float, verdict: str, words: str) -> None:
    found = interleaved(tmp_path, ratio)
    assert (found.paired, found.verdict) == (True, verdict)
    assert found.sentence.startswith(words)
    assert found.ratio.value == pytest.approx(ratio, rel=0.002)


def test_an_interval_that_contains_both_is_inconclusive(tmp_path: Path) -> None:
    found = interleaved(tmp_path, 1.03, pairs=1, share=0.3)
    assert found.verdict == "unknown"
    assert found.sentence.startswith("inconclusive: second may be faster or slower than first (ratio ")


@pytest.mark.parametrize("ratio", [1.008, 0.992])
def test_less_than_the_noise_floor_is_claimed_only_where_the_machine_is_known_to_be_quieter(
    tmp_path: Path, ratio: float
) -> None:
    (tmp_path / "assumed").mkdir()
    assumed = interleaved(tmp_path / "assumed", ratio)
    assert not assumed.ratio.within.low <= 1 <= assumed.ratio.within.high
    assert (assumed.verdict, assumed.floor) == ("same", 0.01)
    noise_floor.save(Floor(runs=0.02, pairs=0.003, source="measured"))
    found = interleaved(tmp_path, ratio)
    assert (found.verdict, found.floor) == ("slower" if ratio > 1 else "faster", 0.003)


def test_two_that_were_not_interleaved_are_compared_by_their_runs(tmp_path: Path) -> None:
    found = interleaved(tmp_path, 1.2, turns="another time")
    assert (found.paired, found.floor, found.verdict) == (False, 0.03, "slower")
    assert found.ratio.value == pytest.approx(1.2, rel=0.01)


def test_rounds_in_which_one_was_disturbed_do_not_count(tmp_path: Path) -> None:
    calm, disturbed = [4.0] * 6, [4.0, 40.0, 4.0, 0.4, 4.0, 4.0]
    used = [[True, False, True, False, True, True]]
    found = compare.compare(
        saved(tmp_path, "first", [calm], turns="t"), saved(tmp_path, "second", [disturbed], turns="t", used=used)
    )
    assert found.ratio.value == pytest.approx(1)
    assert compare.log_ratios(
        saved(tmp_path, "third", [disturbed], turns="t", used=used), saved(tmp_path, "fourth", [calm], turns="t")
    ) == [pytest.approx(0)]


def test_where_too_few_rounds_were_clean_all_of_them_count(tmp_path: Path) -> None:
    used = [[True, True, False, False]]
    found = compare.compare(
        saved(tmp_path, "first", [[4.0] * 4], turns="t"),
        saved(tmp_path, "second", [[4.0, 4.0, 8.0, 8.0]], turns="t", used=used),
    )
    assert found.ratio.value == pytest.approx(2**0.5)


def test_blocks_that_were_set_aside_are_not_in_the_ratio_of_runs(tmp_path: Path) -> None:
    used = [[True, True, True, False, False]]
    slow = saved(tmp_path, "second", [[4.4, 4.4, 4.4, 40.0, 40.0]], used=used)
    found = compare.compare(saved(tmp_path, "first", [[4.0] * 5]), slow)
    assert found.ratio.value == pytest.approx(1.1)


def test_a_sample_may_be_of_several_iterations(tmp_path: Path) -> None:
    found = compare.compare(saved(tmp_path, "first", [[0.02] * 9]), saved(tmp_path, "second", [[0.022] * 9], group=50))
    assert found.ratio.value == pytest.approx(1.1, rel=0.001)


def test_a_worker_that_reported_no_blocks_counts_as_one_block(tmp_path: Path) -> None:
    second = saved(tmp_path, "second", [[4.4] * 5])
    assert isinstance(second.result.outcome, Measured)
    [run] = second.result.outcome.runs
    second = replace(second, result=changed(second.result, runs=(replace(run, blocks=(), used=()),)))
    assert compare.compare(saved(tmp_path, "first", [[4.0] * 5]), second).ratio.value == pytest.approx(1.1)


def test_what_failed_can_not_be_compared(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="second can't be compared, because it failed: it crashed"):
        compare.compare(
            saved(tmp_path, "first", [[4.0]]),
            SavedResult(
                result=make(id="second", outcome=Failed(kind=Ending.CRASH, message="it crashed")), folder=tmp_path
            ),
        )


def changed(result: Result, **outcome: Any) -> Result:
    assert isinstance(result.outcome, Measured)
    return replace(result, outcome=replace(result.outcome, **outcome))


PLAIN = make()


@pytest.mark.parametrize(
    ("other", "reported"),
    [
        (replace(PLAIN, model=replace(PLAIN.model, inputs_sha256="e" * 64)), "inputs: none / eeeeeeeeeeee..."),
        (changed(PLAIN, facts={"timing": "device"}), "timing contract: None / device"),
        (
            replace(PLAIN, provenance=Provenance(host=replace(HOST, hostname="two"))),
            "machine: one (A CPU) / two (A CPU)",
        ),
        (replace(PLAIN, device=replace(PLAIN.device, device="x86::amd")), "device: x86 / x86::amd"),
        (replace(PLAIN, settings=replace(PLAIN.settings, heap="default")), "heap: steady / default"),
        (
            replace(PLAIN, settings=replace(PLAIN.settings, nice=5)),
            "resources: {} / {'nice': 5}",
        ),
        (
            replace(PLAIN, runtime=replace(PLAIN.runtime, arguments={"spinning": False})),
            "arguments: {'spinning': True} / {'spinning': False}",
        ),
        (replace(PLAIN, environment=None), "environment: ort aaaaaaaaaaaa / none"),
    ],
)
def test_further_differences_are_reported(other: Result, reported: str) -> None:
    assert [*compare._differences(PLAIN, other)] == [reported]


def test_arguments_that_are_compared_are_no_further_difference() -> None:
    runtime = replace(PLAIN.runtime, label="ort:spinning=false", arguments={"spinning": False})
    assert [*compare._differences(PLAIN, replace(PLAIN, runtime=runtime))] == []


def test_threads_are_the_requested_ones() -> None:
    assert isinstance(PLAIN.outcome, Measured)
    [run] = PLAIN.outcome.runs
    other = changed(PLAIN, runs=(replace(run, threads={"requested": 1}),))
    assert [*compare._differences(PLAIN, other)] == ["threads: 2 / 1"]


def test_wrong_outputs_of_either_side_are_reported() -> None:
    wrong = make(id="wrong", outcome=measured(4.0, ok=False, reasons=("far off",)))
    assert [*compare._differences(PLAIN, wrong)] == ["the outputs of wrong are wrong"]
    assert [*compare._differences(wrong, PLAIN)] == ["the outputs of wrong are wrong"]


def test_another_runtimes_arguments_and_environment_are_its_own() -> None:
    other = make("torch-eager")
    other = replace(other, runtime=replace(other.runtime, arguments={"mode": "x"}), environment=None)
    assert [*compare._differences(PLAIN, other)] == []


def rows(*found: Result) -> list[Row]:
    return [row.of(one) for one in found]


def test_one_model_on_one_runtime_and_device_is_compared_with_its_like_the_newest_of_each_side() -> None:
    ours = rows(make(id="2-new"), make(id="1-old"), make("torch-eager", id="eager"), make("trt", id="trt"))
    failed = make("trt", outcome=Failed(kind=Ending.CRASH, message="it crashed"))
    on_gpu = make("torch-eager")
    on_gpu = replace(on_gpu, device=replace(on_gpu.device, device="nvidia"))
    theirs = rows(make(id="theirs"), failed, on_gpu)
    assert [(one.id, other.id) for one, other in compare.match(ours, theirs)] == [("2-new", "theirs")]
    assert [one.id for one in compare.unmatched(ours, theirs)] == ["eager", "trt"]
    assert compare.unmatched(ours, ours) == []


def test_two_sweeps_are_compared_point_by_point_and_a_sweep_with_a_folder_by_its_newest_results() -> None:
    def of_threads(threads: int, night: str) -> Result:
        return make(id=f"{night}-{threads}", sweep=SweepPlace(sweep=night, task="t", axes={"threads": threads}))

    first = rows(of_threads(1, "a"), of_threads(2, "a"))
    second = rows(of_threads(2, "b"), of_threads(1, "b"))
    assert [(one.id, other.id) for one, other in compare.match(first, second)] == [("a-1", "b-1"), ("a-2", "b-2")]
    assert [(one.id, other.id) for one, other in compare.match(first, rows(make(id="c")))] == [("a-2", "c")]


def test_a_result_that_can_not_be_read_hinders_no_other_comparison(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("before", "after")]
    for folder in folders:
        folder.mkdir()
        for runtime in ("ort", "openvino"):
            save(make(runtime), folder)
    file = folders[1] / "results" / make("ort").id / results.RESULT_FILE
    file.write_text(file.read_text().replace('"group": 1', '"group": 0'))
    code, output, errors = call("compare", *(folder / "results" for folder in folders))
    assert code == 0
    assert output.count("(ratio 1.0000") == 1
    assert f"warning: {file} is corrupted, or from another version: result.outcome.runs[0].group" in errors
