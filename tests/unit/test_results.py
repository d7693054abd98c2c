from __future__ import annotations

import json
import math
import os
import re
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import odd_files
import pytest
from sample_results import BLOCK, HOST, make, measured, save

from isobench import results
from isobench.analysis.gpu_noise import GpuBlock, summarize_gpu
from isobench.analysis.summary import summarize
from isobench.errors import ResultError
from isobench.failures import Ending
from isobench.reports import details, table
from isobench.reports.format import milliseconds, rate
from isobench.results import Failed, Measured, Provenance, Result, index, row
from isobench.system.facts import BatchJob
from isobench.workers import protocol


@pytest.mark.parametrize(
    "outcome", [measured(4.0), Failed(kind="crash", message="it crashed", hint="try again", exit_code=5)]
)
def test_a_result_is_read_as_it_was_written(tmp_path: Path, outcome: Measured | Failed) -> None:
    result = make(outcome=outcome)
    folder = save(result, tmp_path)
    assert results.load(str(folder)) == result


@pytest.mark.parametrize(
    ("outcome", "ending"),
    [
        (measured(4.0), Ending.OK),
        (measured(4.0, ok=False), Ending.WRONG_OUTPUTS),
        (Failed(kind=Ending.TIMEOUT, message="it took too long"), Ending.TIMEOUT),
    ],
)
def test_how_a_case_ended_is_one_word_in_the_file_and_in_lists(
    tmp_path: Path, outcome: Measured | Failed, ending: Ending
) -> None:
    result = make(outcome=outcome)
    folder = save(result, tmp_path)
    assert json.loads((folder / results.RESULT_FILE).read_text())["ending"] == ending
    assert (result.ending, row.of(result).ending) == (ending, ending)


def test_samples_and_log_are_beside_the_result_and_the_run_directory_is_removed(tmp_path: Path) -> None:
    result = make()
    folder = save(result, tmp_path)
    assert results.samples_ns(result, folder) == [array("q", [4_000_000] * 4)]
    assert (folder / "run-1" / protocol.LOG_FILE).read_text() == "a log\n"
    assert not (tmp_path / "run").exists()


def test_a_result_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    save(make("ort"), tmp_path)
    save(make("torch-eager"), tmp_path)
    root = tmp_path / "results"
    assert results.load("20260101T000000-net-o", root=root).runtime.name == "ort"
    with pytest.raises(ResultError, match=r"matches 2 results: .*ort.*, .*torch-eager"):
        results.load("20260101", root=root)
    with pytest.raises(ResultError, match="no result 'x'") as caught:
        results.load("x", root=root)
    assert caught.value.hint == "List all results: isobench list"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("schema",), "isobench.result/1", "has schema 'isobench.result/1'; this isobench reads isobench.result/3"),
        (("outcome", "latency", "mean_s"), "fast", "result.outcome.latency.mean_s must be float, got str"),
        (("outcome",), {"status": "failed", "kind": "ok", "message": ""}, "kind must be that of a failure, got ok"),
        (("outcome", "status"), "splendid", "result.outcome.status is 'splendid'"),
        (("outcome", "runs", 0, "group"), True, r"result.outcome.runs\[0\].group must be int, got bool"),
        (("outcome", "runs", 0, "warmup", "curve", 0), 5, r"runs\[0\].warmup.curve\[0\] must be list, got int"),
        (("model", "colour"), "blue", "result.model: unknown member colour"),
        (("settings", "threads"), None, "result.settings.threads must be int, got NoneType"),
        (("settings", "threads"), 0, "result.settings: --threads must be at least 1, got 0"),
        (("outcome", "latency", "mean_s"), 0, "result.outcome.latency.mean_s must be above 0, got 0"),
        (("outcome", "latency", "p99_s"), 1e-9, "result.outcome.latency: .* must be in ascending order"),
        (("outcome", "latency", "p99_s"), 10**400, "result.outcome.latency.p99_s must have at most 64 bits"),
        (("outcome", "latency", "p99_s"), math.nan, "is not valid JSON: NaN is no JSON value"),
        (("outcome", "clean_share"), 1.1, "result.outcome.clean_share must be at least 0 and at most 1, got 1.1"),
        (("outcome", "intervals", "median_s", "low"), 9.0, "intervals.median_s: low must be at most high, got 9"),
        (("outcome", "intervals"), {}, "result.outcome: intervals must have mean_s, median_s, p90_s, p99_s"),
        (("outcome", "verdict", "status"), "good", "verdict.status must be one of clean, noisy, invalid, got 'good'"),
        (("outcome", "runs"), [], "result.outcome: runs must have at least one run"),
        (("outcome", "runs", 0, "used"), [], r"runs\[0\]: used must have a flag for each of 1 blocks, got 0"),
        (("outcome", "runs", 0, "samples_file"), "../x", r"runs\[0\]: samples_file must be within the result's folder"),
        (("outcome", "runs", 0, "threads"), {"requested": "2"}, "threads.requested must be a whole number, got '2'"),
        (("outcome", "facts"), {"a": [-(2**80)]}, "result.outcome.facts.a must have at most 64 bits"),
        (("started_at",), "now", "result.started_at must be a time in ISO 8601 with its zone, got 'now'"),
    ],
)
def test_what_is_not_as_the_schema_says_is_refused(
    tmp_path: Path, path: tuple[str | int, ...], value: object, message: str
) -> None:
    file = save(make(), tmp_path) / results.RESULT_FILE
    whole = json.loads(file.read_text())
    inner = whole
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    file.write_text(json.dumps(whole))
    with pytest.raises(ResultError, match=message):
        results.load(str(file))


def test_provenance_is_open_to_additions(tmp_path: Path) -> None:
    file = save(make(), tmp_path) / results.RESULT_FILE
    whole = json.loads(file.read_text())
    whole["provenance"]["cooling"] = "water"
    whole["provenance"]["host"]["cpu"]["colour"] = "blue"
    file.write_text(json.dumps(whole))
    assert results.load(str(file)) == make()


def test_a_missing_member_is_named(tmp_path: Path) -> None:
    file = save(make(), tmp_path) / results.RESULT_FILE
    whole = json.loads(file.read_text())
    del whole["outcome"]["verdict"]
    file.write_text(json.dumps(whole))
    with pytest.raises(ResultError, match=r"result.outcome: missing member verdict"):
        results.load(str(file))


def test_a_result_of_another_schema_says_what_reads_it(tmp_path: Path) -> None:
    file = save(make(), tmp_path) / results.RESULT_FILE
    for schema, hint in (("isobench.result/4", "Read it with the isobench that wrote it"), (None, "^$")):
        file.write_text(json.dumps({"schema": schema}))
        with pytest.raises(ResultError) as caught:
            results.load(str(file))
        assert re.search(hint, caught.value.hint)


def test_a_name_is_no_pattern(tmp_path: Path) -> None:
    save(make(), tmp_path)
    for name in ("**", "*", "2026010[1]"):
        with pytest.raises(ResultError, match="no result"):
            results.load(name, root=tmp_path / "results")


@pytest.mark.parametrize(
    ("size", "message"),
    [(None, "can't be read: .*: No such file"), (17, "in the middle of a sample"), (16, "has 2 of 4")],
)
def test_samples_that_are_missing_or_corrupted_are_reported(tmp_path: Path, size: int | None, message: str) -> None:
    result = make()
    folder = save(result, tmp_path)
    file = folder / "run-1" / protocol.SAMPLES_FILE
    os.truncate(file, size) if size else file.unlink()
    with pytest.raises(ResultError, match=message):
        results.samples_ns(result, folder)


def test_a_result_that_can_not_be_written_leaves_its_samples_and_says_where(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("no folder")
    with pytest.raises(ResultError, match=r"can't be saved in .*/results: ") as caught:
        save(make(), tmp_path)
    assert str(tmp_path / "run") in caught.value.hint
    assert (tmp_path / "run" / protocol.SAMPLES_FILE).exists()


def test_one_unreadable_result_does_not_hide_the_others(tmp_path: Path) -> None:
    save(make("ort"), tmp_path)
    (save(make("torch-eager"), tmp_path) / results.RESULT_FILE).write_text("{")
    good, bad = results.load_all(tmp_path / "results")
    assert isinstance(good, Result)
    assert isinstance(bad, ResultError)


def test_a_failed_result_has_no_latency() -> None:
    result = make(outcome=Failed(kind="crash", message="it crashed", hint="try again"))
    assert not result.ok
    with pytest.raises(ResultError, match="failed: it crashed") as caught:
        _ = result.latency
    assert caught.value.hint == "try again"


def test_the_table_compares_with_torch_eager() -> None:
    text = table.run_table([make("ort", measured(4.0)), make("torch-eager", measured(8.0))])
    assert text.splitlines()[:2] == ["net::12ab34cd  11.7 M parameters  (float32[1, 3])", "on x86 (A CPU), 2 threads"]
    cells = {line.split()[0]: line.split() for line in text.splitlines()[5:]}
    assert cells["ort"] == ["ort", "4.000", "4.000", "10%", "4.000", "250.0", "2.00x", "4", "correct", "clean"]
    assert cells["torch-eager"][6] == "1.00x"


def test_a_table_without_torch_eager_compares_with_nothing() -> None:
    text = table.run_table(
        [make("ort", measured(4.0)), make("torch-eager", Failed(kind="crash", message="it crashed"))]
    )
    assert "vs torch-eager" not in text
    cells = {line.split()[0]: line.split() for line in text.splitlines()[5:7]}
    assert cells["ort"] == ["ort", "4.000", "4.000", "10%", "4.000", "250.0", "4", "correct", "clean"]
    assert cells["torch-eager"][-2:] == ["failed:", "crash"]


@pytest.mark.parametrize(("per_second", "text"), [(12345.6, "12,346"), (41.26, "41.3"), (2.0, "2.00"), (0.25, "0.250")])
def test_rates_keep_their_digits(per_second: float, text: str) -> None:
    assert rate(per_second) == text


def test_the_table_says_that_rows_come_from_several_machines_and_what_ran_beside_them() -> None:
    job = BatchJob(system="slurm", job_id="17", node="n7", others_at_begin=("40 (8 CPUs)",), others_at_end=())
    one = make("ort", measured(4.0), provenance=Provenance(host=HOST))
    same = make("openvino", measured(4.0), provenance=Provenance(host=HOST))
    other = make("torch-eager", measured(8.0), provenance=Provenance(host=HOST, batch=job))
    text = table.run_table([one, other])
    assert "several machines, which differ, too: ort on one (A CPU); torch-eager on n7 (A CPU)" in text
    assert "torch-eager: other jobs were seen on n7 beside it: 40 (8 CPUs)" in text
    assert "several machines" not in table.run_table([one, same])


def test_what_was_set_aside_is_shown_beside_what_was_used() -> None:
    text = table.run_table([make("ort", measured(4.0, set_aside_s=0.2))])
    assert "4 of 6" in text
    assert (
        "ort: 0.2 s set aside, because others used the machine; with them: mean 8.000, median 8.000, p99 8.000 ms"
        in text
    )


def test_the_table_says_why_a_number_cannot_be_trusted() -> None:
    failed = Failed(kind="crash", message="the worker was killed by SIGSEGV", details="last\nwords", hint="look there")
    text = table.run_table(
        [
            make("ort", measured(4.0, ok=False, reasons=("output y must have shape [2], got [1]",))),
            make("torch-eager", measured(4.0, reasons=("others used the machine",))),
            make("torch-compiled", failed),
        ]
    )
    assert "WRONG" in text
    assert "ort: invalid: output y must have shape [2], got [1]" in text
    assert "torch-eager: noisy: others used the machine" in text
    assert "torch-compiled: the worker was killed by SIGSEGV\n    last\n    words\n  hint: look there" in text


def test_each_model_has_a_table_of_its_own() -> None:
    other = replace(make().model, name="another", hash="00000000")
    assert table.run_table([make(), make(model=other)]).count("runtime  ") == 2


def test_one_result_is_shown_in_full() -> None:
    shown = details.details(make(), Path("/results/x"))
    for text in ("opset", "xyz"):
        assert text not in shown
    for text in (
        "/models/net.py --n=1",
        "commit cccccccccccc with changes",
        "args.0: float32[1, 3]",
        "spinning::True",
        "Python 3.11.7",
        "import 0.1 s, load 0.2 s, first inference 0.01 s",
        "stolen 0.0%",
        "/results/x",
        "15 iterations in 0.1 s, settled: 5.000 after 6, 4.000 after 11",
        "one iteration per sample; the clock costs 100 ns per sample",
        "median 3.600 to 4.400",
        "3.0% between identical runs (assumed)",
    ):
        assert text in shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0000054, "0.00540"), (0.0003217, "0.3217"), (0.003217, "3.217"), (0.32168, "321.7")]
)
def test_milliseconds_keep_their_digits(seconds: float, text: str) -> None:
    assert milliseconds(seconds) == text


def on_gpu() -> Result:
    gpu = GpuBlock(enqueue_s=1e-5, inferences=9, energy_j=4.5, clock_mhz=1980.0, power_w=400.0, temperature_c=60.0)
    outcome = measured(4.0)
    return make(
        "trt",
        replace(
            outcome,
            runs=(replace(outcome.runs[0], blocks=(replace(BLOCK, gpu=gpu),)),),
            end_to_end=summarize([5_000_000] * 4),
            gpu=summarize_gpu([gpu]),
            facts={"gpu": {"driver": "580.65.06"}},
        ),
    )


def test_a_result_of_a_gpu_is_read_back_and_shows_both_contracts(tmp_path: Path) -> None:
    result = on_gpu()
    assert results.load(str(save(result, tmp_path))) == result
    shown = details.details(result, Path("/results/x"))
    end_to_end = "mean 5.000, median 5.000, p99 5.000 ms; 0.5 J per inference"
    assert f"trt: end to end, with the copies to the GPU and back: {end_to_end}" in shown
    gpu = "driver 580.65.06, 1980 to 1980 MHz, 400 W, at most 60 \u00b0C, queueing an inference takes 10 \u00b5s"
    assert re.search(rf"^gpu +{re.escape(gpu)}$", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"stats": {"figure": math.nan}}, "what ort reported of net isn't JSON: .*nan"),
        ({"stats": {"figure": {1, 2}}}, "what ort reported of net isn't JSON: .* set"),
        (
            {"noise_floor": -1.0},
            "what ort reported of net can't be right: .*noise_floor must be at least 0 .*, got -1.0",
        ),
    ],
)
def test_what_could_not_be_read_again_is_not_saved(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ResultError, match=why) as caught:
        save(make(outcome=replace(measured(4.0), **changes)), tmp_path)
    assert caught.value.kind is Ending.PROTOCOL
    assert not (tmp_path / "results").exists()


def odd_file(kind: str, file: Path) -> None:
    file.unlink()
    if kind in odd_files.MAKERS:
        odd_files.MAKERS[kind](file)
    else:
        file.write_bytes(ODD_CONTENTS[kind])


ODD_CONTENTS = {"empty": b"", "deep": b'{"a":' * 100_000, "latin-1": b'{"a": "\xff"}'}


# Not a link that leads nowhere: that is a folder without a result.
@pytest.mark.parametrize("kind", [*sorted(odd_files.MAKERS.keys() - {"dangling link"}), *ODD_CONTENTS])
def test_whatever_lies_in_the_place_of_a_result_is_unreadable_in_lists_and_alone(tmp_path: Path, kind: str) -> None:
    odd_file(kind, save(make(), tmp_path) / results.RESULT_FILE)
    with pytest.raises(ResultError, match=r"result\.json"):
        results.load(make().id, root=tmp_path / "results")
    [found] = index.rows(tmp_path / "results")
    assert (found.status, found.kind) == ("unreadable", "result")


def test_a_name_that_no_file_can_have_names_no_result(tmp_path: Path) -> None:
    save(make(), tmp_path)
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(ResultError, match="no result"):
            results.load(name, root=tmp_path / "results")
