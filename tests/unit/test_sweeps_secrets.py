"""A sweep needs secrets as they are, when it is resumed: its files are its user's alone then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sample_sweeps

from isobench.sweeps.folder import SWEEP_FILE, TASKS_FILE, SweepFolder


@pytest.mark.parametrize(
    ("given", "private"),
    [
        ({}, False),
        ({"script_args": ("--width", "5")}, False),
        ({"script_args": ("--token", "hunter2")}, True),
        ({"env": {"HF_TOKEN": "hunter2"}}, True),
    ],
)
def test_a_sweep_with_secrets_is_its_users_alone(tmp_path: Path, given: dict[str, object], private: bool) -> None:
    task = sample_sweeps.task()
    [model] = task.plan.models
    task = replace(task, plan=replace(task.plan, models=(replace(model, **given),)))
    sweep = sample_sweeps.sweep(task)
    made = SweepFolder.create(sweep, tmp_path / "sweep")
    made.freeze(sweep.tasks)
    for name in (SWEEP_FILE, TASKS_FILE):
        assert ((made.path / name).stat().st_mode & 0o077 == 0) is private
    [again] = SweepFolder.find(made.path).tasks() or ()
    assert again.plan.models[0].script_args == task.plan.models[0].script_args
    assert again.plan.models[0].env == task.plan.models[0].env
