"""A Case that isn't what it was when its sweep began is refused, and the message says what has changed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from isobench import api
from isobench.console import Console
from isobench.environments import specs
from isobench.errors import UsageError
from isobench.executors import frozen
from isobench.executors.cases import Cases
from isobench.measuring.case import Case
from isobench.planning.plan import SweepPlace
from isobench.sweeps.task import Task, keyed
from isobench.system import devices


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ISOBENCH_PROVIDER", "venv")
    file = tmp_path / "net.py"
    file.write_text("one")
    return file


def case_of(script: Path, runtime: str = "ort") -> tuple[Case, Task]:
    plan = replace(api.plan([str(script)], runtimes=[runtime]), sweep=SweepPlace(sweep="night", task=""))
    cases = Cases(plan, Console(quiet=True))
    return cases.case(cases.entries[0], plan.models[0]), keyed(Task(plan=plan))


def frozen_task(script: Path, runtime: str = "ort") -> Task:
    case, task = case_of(script, runtime)
    return replace(task, cases=(frozen.planned(case),))


def test_an_unchanged_case_is_measured(script: Path) -> None:
    task = frozen_task(script)
    frozen.check(case_of(script)[0], task)
    assert task.cases[0].case_key == str(case_of(script)[0].key)


def test_a_changed_script_is_named(script: Path) -> None:
    task = frozen_task(script)
    script.write_text("two")
    with pytest.raises(UsageError, match=r"net on ort isn't what it was when the sweep began") as refused:
        frozen.check(case_of(script)[0], task)
    [changed] = refused.value.message.partition("began: ")[2].split("; ")
    assert changed.startswith("the model's file changed (7692c3ad3540, now 3fc4ccfe7458)")
    assert "Restore it and resume" in refused.value.hint


def test_a_changed_environment_is_named(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = frozen_task(script)
    mine = tmp_path / "envs" / "ort"
    mine.mkdir(parents=True)
    (mine / "python-version").write_text("3.11\n")
    (mine / "requirements.txt").write_text("numpy==2.0.0\n")
    monkeypatch.setenv("ISOBENCH_ENVS", str(mine.parent))
    with pytest.raises(UsageError, match=r"began: the environment changed \(\w{12}, now \w{12}\)$"):
        frozen.check(case_of(script)[0], task)


def test_another_isobench_is_named(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = frozen_task(script)
    monkeypatch.setattr("isobench.version.VERSION", "9.9")
    monkeypatch.setattr(sys.modules["isobench.builds.make"], "RULES", 99)
    with pytest.raises(UsageError, match=r"isobench changed \(.*, now 9\.9\); isobench's rules of builds changed"):
        frozen.check(case_of(script)[0], task)


def test_another_platform_has_other_environments(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = frozen_task(script)
    monkeypatch.setattr(specs, "platform_name", lambda: "linux-aarch64-glibc")
    frozen.check(case_of(script)[0], task)
    script.write_text("two")
    with pytest.raises(UsageError, match=r"began: the model's file changed \([^;]*$"):
        frozen.check(case_of(script)[0], task)


def test_a_machine_is_compared_with_what_its_architecture_was_prepared_for(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = frozen_task(script)
    [here] = task.cases
    there = replace(here, case_key="0", parts=here.parts | {"the model's weights": "other rounding"})
    task = replace(task, cases=(there,), by_architecture={"aarch64": (there,), devices.architecture(): (here,)})
    case, _ = case_of(script)
    frozen.check(case, task)
    monkeypatch.setattr(devices, "architecture", lambda: "aarch64")
    with pytest.raises(UsageError, match="began: the model's weights changed"):
        frozen.check(case, task)


def test_a_model_that_the_script_didnt_call_before_is_refused(script: Path) -> None:
    task = frozen_task(script)
    with pytest.raises(UsageError, match="the sweep has no case net on torch-eager, only net on ort"):
        frozen.check(case_of(script, "torch-eager")[0], task)
