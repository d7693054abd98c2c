from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import sample_sweeps

from isobench.planning.models import Model
from isobench.planning.settings import Settings
from isobench.results.row import Row
from isobench.sweeps.estimate import Estimate, History
from isobench.sweeps.task import Task


def row(**changes: object) -> Row:
    values: dict[str, object] = {
        "name": "a",
        "id": "a",
        "status": "measured",
        "duration_s": 7.0,
        "model_path": "/models/net.onnx",
        "model_hash": "12ab34cd",
        "label": "ort",
        "case_key": "k1",
    }
    return Row(**(values | changes))  # type: ignore[arg-type]


def test_a_case_takes_what_the_newest_result_of_its_key_took() -> None:
    history = History([row(duration_s=7.0), row(duration_s=90.0)])
    assert history.of([sample_sweeps.task(case_key="k1")]) == Estimate(seconds=7.0, earlier=1)


def test_a_case_that_ran_into_its_time_limit_takes_that_long_again() -> None:
    history = History([row(duration_s=900.0, status="failed")])
    assert history.of([sample_sweeps.task(case_key="k1")]) == Estimate(seconds=900.0, earlier=1)


def test_a_case_of_another_key_takes_what_its_model_took_on_its_runtime() -> None:
    history = History([row(case_key="other"), row(case_key="other", label="openvino", duration_s=1.0)])
    assert history.of([sample_sweeps.task(case_key="k1")]) == Estimate(seconds=7.0, similar=1)


def test_a_failure_says_nothing_about_similar_cases() -> None:
    history = History([row(case_key="other", status="failed")])
    assert history.of([sample_sweeps.task(case_key="k1")]).guessed == 1


def script() -> Task:
    task = sample_sweeps.task()
    return replace(task, plan=replace(task.plan, models=(Model(path=Path("/models/net.py")),)))


def test_a_script_that_is_not_built_yet_takes_what_all_of_its_models_took() -> None:
    rows = [row(model_hash="aa"), row(model_hash="bb", duration_s=5.0), row(model_hash="aa", duration_s=60.0)]
    history = History([replace(one, model_path="/models/net.py") for one in rows])
    assert history.of([script()]) == Estimate(seconds=12.0, similar=2)


def test_models_that_a_script_called_in_another_sweep_do_not_count() -> None:
    rows = [row(model_hash="aa", sweep="new"), row(model_hash="bb", sweep="old")]
    history = History([replace(one, model_path="/models/net.py") for one in rows])
    assert history.of([script()]) == Estimate(seconds=7.0, similar=1)


def test_an_onnx_file_is_one_model_whatever_its_sizes_were() -> None:
    history = History([row(model_hash="aa"), row(model_hash="bb", duration_s=5.0)])
    assert history.of([sample_sweeps.task()]) == Estimate(seconds=7.0, similar=1)


def test_a_guess_grows_with_processes_and_measuring_time() -> None:
    def guess(**settings: object) -> float:
        estimate = History().of([sample_sweeps.task(settings=Settings(threads=1, **settings))])  # type: ignore[arg-type]
        assert estimate.guessed == 1
        return estimate.seconds

    assert guess(processes=3) == 3 * guess()
    assert guess(min_time_s=10.0) > guess() + 9
    assert guess(precision=0.01) > guess()


def test_interleaved_cases_take_their_time_together() -> None:
    history = History([row(duration_s=30.0), row(duration_s=30.0, label="openvino", case_key="k2")])
    estimate = history.of([sample_sweeps.task("net", "ort", "openvino", case_key="k1")])
    assert (estimate.seconds, estimate.cases) == (30.0, 2)


def test_estimates_add_up() -> None:
    tasks = [sample_sweeps.task(case_key="k1"), sample_sweeps.task("other", case_key="k2")]
    estimate = History([row()]).of(tasks)
    assert (estimate.earlier, estimate.guessed, estimate.cases) == (1, 1, 2)
