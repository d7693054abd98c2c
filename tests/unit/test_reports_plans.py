from __future__ import annotations

import sample_sweeps

from isobench.planning.settings import Settings
from isobench.reports import plans
from isobench.sweeps.estimate import Estimate


def test_cases_are_a_table_with_a_column_for_each_axis() -> None:
    sweep = sample_sweeps.sweep(
        *(sample_sweeps.task("net", runtime, axes={"batch": batch}) for batch in (1, 32) for runtime in ("ort", "trt"))
    )
    assert plans.cases(sweep).splitlines() == [
        "model  runtime  batch",
        "-----  -------  -----",
        "net    ort          1",
        "net    trt          1",
        "net    ort         32",
        "net    trt         32",
    ]


def test_repeats_share_a_row() -> None:
    sweep = sample_sweeps.sweep(*(sample_sweeps.task(repeat=repeat) for repeat in (1, 2, 3)))
    assert plans.cases(sweep).splitlines()[2:] == ["net    ort            3"]


def test_settings_that_differ_are_columns_and_those_that_all_share_are_in_the_heading() -> None:
    sweep = sample_sweeps.sweep(
        *(sample_sweeps.task(settings=Settings(threads=count, processes=3)) for count in (1, 2))
    )
    heading, *rows = plans.cases(sweep).splitlines()
    assert heading.split() == ["model", "runtime", "--threads"]
    assert [row.split()[-1] for row in rows[1:]] == ["1", "2"]
    assert "all with --processes 3" in plans.heading(sweep)


def test_a_setting_that_is_an_axis_has_one_column() -> None:
    tasks = [sample_sweeps.task(settings=Settings(threads=count), axes={"threads": count}) for count in (1, 2)]
    assert plans.cases(sample_sweeps.sweep(*tasks)).splitlines()[0].split() == ["model", "runtime", "threads"]


def test_interleaved_runtimes_are_one_row() -> None:
    sweep = sample_sweeps.sweep(sample_sweeps.task("net", "ort", "torch-eager"))
    assert "net    ort and torch-eager" in plans.cases(sweep)
    assert plans.heading(sweep).startswith("night.toml: 2 cases of 1 model on 2 runtimes")


def test_an_axis_that_does_not_concern_a_model_is_a_dash() -> None:
    sweep = sample_sweeps.sweep(sample_sweeps.task(axes={"batch": 8}), sample_sweeps.task("script"))
    assert plans.cases(sweep).splitlines()[-1] == "script  ort          -"


def test_a_random_order_names_its_seed() -> None:
    sweep = sample_sweeps.sweep(sample_sweeps.task(), order="random", seed=7)
    assert "in random order (seed 7)" in plans.heading(sweep)


def test_an_estimate_says_what_it_is_made_of() -> None:
    assert plans.estimated(Estimate(seconds=725, earlier=20, guessed=4)) == (
        "12 min (20 cases from earlier results, 4 guessed from the settings)"
    )
    assert plans.estimated(Estimate(seconds=4, similar=1)) == "4 s (1 case from results of the same model and runtime)"
