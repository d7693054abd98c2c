"""Interleaving, comparing and calibrating, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isobench.environments import Environment

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[2] / "examples" / "models"
QUICK = ("--min-time", "0.1", "--max-time", "1", "--threads", "1")


@pytest.fixture(autouse=True)
def environments(home: Path, provisioned: Callable[[str], Environment]) -> None:
    provisioned("ort")
    provisioned("torch")


def chain(folder: Path, name: str, length: int) -> Path:
    """A chain of matrix multiplications: twice the length takes twice as long."""
    weight = numpy_helper.from_array(np.eye(256, dtype=np.float32), "w")
    nodes = [helper.make_node("MatMul", [f"x{n}", "w"], [f"x{n + 1}"]) for n in range(length)]
    value = [helper.make_tensor_value_info(f"x{n}", TensorProto.FLOAT, [256, 256]) for n in (0, length)]
    graph = helper.make_graph(nodes, name, value[:1], value[1:], [weight])
    path = folder / f"{name}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def isobench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "isobench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def as_json(*arguments: str | Path, code: int = 0) -> Any:
    done = isobench(*arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_interleaved_cases_take_a_block_each_in_every_round(tmp_path: Path) -> None:
    short, long = chain(tmp_path, "short", 2), chain(tmp_path, "long", 8)
    one, other = as_json("run", short, long, "--interleave", "--processes", "2", *QUICK)
    turns = one["outcome"]["turns"]
    assert turns["id"] == other["outcome"]["turns"]["id"]
    assert (turns["place"], other["outcome"]["turns"]["place"]) == (0, 1)
    assert len(turns["order"]) == 2, "two pairs of processes"
    assert {tuple(places) for rounds in turns["order"] for places in rounds} == {(0, 1), (1, 0)}, "the order is drawn"
    for run, (mine, its) in enumerate(zip(one["outcome"]["runs"], other["outcome"]["runs"], strict=True)):
        assert len(mine["blocks"]) == len(its["blocks"]) == len(turns["order"][run]) >= 10
        for places, block, beside in zip(turns["order"][run], mine["blocks"], its["blocks"], strict=True):
            assert (block["started_s"] < beside["started_s"]) == (places[0] == 0)
        ends = [block["started_s"] + block["wall_s"] for block in mine["blocks"]]
        assert all(end <= after["started_s"] for end, after in zip(ends, mine["blocks"][1:], strict=False))


def test_two_models_are_compared_by_blocks_of_the_same_round(tmp_path: Path) -> None:
    short, long = chain(tmp_path, "short", 2), chain(tmp_path, "long", 8)
    [found] = as_json("compare", short, long, "--processes", "2", *QUICK)
    assert found["paired"]
    assert found["verdict"] == "slower"
    assert found["ratio"]["value"] > 1.5
    assert found["differences"] == []
    done = isobench("compare", short, long, "--processes", "1", *QUICK, "--fail-if-slower", "20%")
    assert done.returncode == 8
    assert "% slower than short::" in done.stdout
    assert "interleaved, block by block" in done.stdout
    assert isobench("compare", long, short, "--processes", "1", *QUICK, "--fail-if-slower", "20%").returncode == 0


def test_one_model_is_compared_on_two_runtimes() -> None:
    script = f"{EXAMPLES / 'two_models.py'}::e01e279c"
    [found] = as_json("compare", script, "-r", "ort", "-r", "torch-eager", "--processes", "1", *QUICK)
    assert (found["first"], found["second"]) == ("ort", "torch-eager")
    assert found["differences"] == []


def test_compare_refuses_any_number_of_cases_but_two(tmp_path: Path) -> None:
    alone = isobench("compare", chain(tmp_path, "alone", 2))
    assert alone.returncode == 2
    assert "compare needs two cases, got one" in alone.stderr
    done = isobench("compare", EXAMPLES / "two_models.py", "-r", "ort", "-r", "torch-eager", "--processes", "1", *QUICK)
    assert done.returncode == 2
    assert "compare needs two cases, got 4" in done.stderr


def test_saved_results_are_compared_unless_they_were_measured_differently(tmp_path: Path) -> None:
    model = chain(tmp_path, "chain", 4)
    before, after = tmp_path / "before", tmp_path / "after"
    for folder in (before, after):
        [_] = as_json("run", model, *QUICK, "--output", folder)
    [found] = as_json("compare", before, after)
    assert not found["paired"]
    assert found["floor"] == 0.03
    assert found["differences"] == []
    [other] = as_json("run", model, *QUICK, "--heap", "default", "--output", tmp_path / "other")
    refused = isobench("compare", before, tmp_path / "other" / other["id"])
    assert refused.returncode == 6
    assert "the results were not measured in the same way" in refused.stderr
    assert "heap: steady / default" in refused.stderr
    assert "--anyway" in refused.stderr
    anyway = isobench("compare", before, tmp_path / "other", "--anyway")
    assert anyway.returncode == 0
    assert "also different: heap: steady / default" in anyway.stdout


def test_missing_results_fail_a_comparison_that_allows_nothing_slower(tmp_path: Path) -> None:
    short, long = chain(tmp_path, "short", 2), chain(tmp_path, "long", 4)
    before, after = tmp_path / "before", tmp_path / "after"
    as_json("run", short, long, *QUICK, "--output", before)
    as_json("run", short, *QUICK, "--output", after)
    done = isobench("compare", before, after)
    assert done.returncode == 0
    assert " on ort is not measured in " in done.stderr
    refused = isobench("compare", before, after, "--fail-if-slower", "90%")
    assert refused.returncode == 6
    assert "not all of" in refused.stderr
    assert "long::" in refused.stderr
    assert isobench("compare", before, after, "--fail-if-slower", "90%", "--anyway").returncode == 0
    assert isobench("compare", after, before, "--fail-if-slower", "90%").returncode == 0, "a new model is none the less"

    [file] = after.glob("*/result.json")
    (after / "damaged").mkdir()
    (after / "damaged" / "result.json").write_bytes(file.read_bytes()[:500])
    refused = isobench("compare", after, before, "--fail-if-slower", "90%")
    assert refused.returncode == 6
    assert "is not valid JSON" in refused.stderr


def test_the_noise_floor_of_a_calibrated_machine_is_used_from_then_on(tmp_path: Path, home: Path) -> None:
    model = chain(tmp_path, "chain", 4)
    done = isobench("calibrate", model, "--runs", "3", "--pairs", "3", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "identical runs differ by" in done.stdout
    saved = json.loads((home / "calibration.json").read_text())
    [floor] = saved["machines"].values()
    assert 0 < floor["runs"] < 10
    assert 0 < floor["pairs"] < 10
    [result] = as_json("run", model, *QUICK)
    assert result["outcome"]["noise_floor"] == floor["runs"]
    assert result["outcome"]["floor_source"].startswith("chain on ort, 3 runs, 3 pairs, ")


def test_interleaved_cases_refuse_a_number_of_iterations(tmp_path: Path) -> None:
    done = isobench("run", chain(tmp_path, "alone", 2), "--interleave", "--iterations", "5")
    assert done.returncode == 2
    assert "are measured for a time, not for a number of iterations" in done.stderr


def test_interleaving_continues_until_all_cases_reach_the_requested_precision(tmp_path: Path) -> None:
    models = chain(tmp_path, "short", 2), chain(tmp_path, "long", 8)
    quick = ("--interleave", "--min-time", "0.05", "--no-select", "--threads", "1")
    rough = as_json("run", *models, *quick, "--precision", "99%", "--max-time", "3")
    assert [len(each["outcome"]["runs"]) for each in rough] == [1, 1]
    fine = as_json("run", *models, *quick, "--precision", "0.05%", "--max-time", "3")
    sets = {len(each["outcome"]["runs"]) for each in fine} | {len(each["outcome"]["turns"]["order"]) for each in fine}
    assert len(sets) == 1, "as many runs of each as there were sets"
    assert sets.pop() > 1
    for each in fine:
        assert (
            "after 3 s (--max-time), wider than the requested 0.05% (--precision)"
            in each["outcome"]["verdict"]["reasons"][-1]
        )


def test_a_case_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "samples" / "scripts" / "crashes_when_measured.py"
    done = isobench("run", "-r", "torch-eager", script, EXAMPLES / "two_models.py", "--interleave", *QUICK)
    assert done.returncode == 5
    assert "failed: crash" in done.stdout
    assert done.stdout.count("correct") == 2


def test_two_settings_of_one_runtime_are_compared_in_one_call(tmp_path: Path) -> None:
    basic, full = "ort:graph_optimization=basic", "ort:graph_optimization=all"
    [found] = as_json("compare", chain(tmp_path, "short", 2), "-r", basic, "-r", full, "--processes", "1", *QUICK)
    assert (found["first"], found["second"]) == (basic, full)
