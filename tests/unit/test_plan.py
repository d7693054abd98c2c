"""A runtime as it is typed, a plan as it is sent, and the identity of a Case."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from isobench import api
from isobench.errors import UsageError
from isobench.measuring.case import Case
from isobench.measuring.case_records import new_id
from isobench.planning.case_key import NOT_COUNTED, CaseKey
from isobench.planning.models import Model, Step
from isobench.planning.plan import Plan
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.planning.settings import Settings
from isobench.runtimes import registry
from isobench.system.devices import Device

CPU = Device(family="cpu")


@pytest.mark.parametrize(
    ("text", "name", "environment", "arguments"),
    [
        ("ort", "ort", "", {}),
        ("ort@mine", "ort", "mine", {}),
        ("ort:graph_optimization=basic", "ort", "", {"graph_optimization": "basic"}),
        ("ort@mine:spinning=false,profile", "ort", "mine", {"spinning": "false", "profile": True}),
        ("mine:sizes=[1,2],last=x", "mine", "", {"sizes": ["1", "2"], "last": "x"}),
        ("mine:sizes=[]", "mine", "", {"sizes": []}),
        ("mine:path=/a/b:c=d", "mine", "", {"path": "/a/b:c=d"}),
    ],
)
def test_a_runtime_is_parsed_as_it_is_typed_and_printed_the_same(
    text: str, name: str, environment: str, arguments: dict[str, Any]
) -> None:
    made = RuntimeChoice.parse(text)
    assert made == RuntimeChoice(name=name, environment=environment, arguments=arguments)
    assert str(made) == text


def test_values_from_python_are_printed_as_they_would_be_typed() -> None:
    arguments = {"a": True, "b": False, "c": None, "d": 2, "e": (1, 2)}
    assert str(RuntimeChoice(name="mine", arguments=arguments)) == "mine:a,b=false,c=none,d=2,e=[1,2]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "runtime '' is incomplete"),
        ("ort@", "runtime 'ort@' is incomplete"),
        ("ort:", "runtime 'ort:' is incomplete"),
        ("ort:a=", "'a=' is not ARGUMENT=VALUE"),
        ("ort:1=2", "'1=2' is not ARGUMENT=VALUE"),
        ("ort:a=1,,b=2", "'' is not ARGUMENT=VALUE"),
        ("ort:a=1,a=2", "argument 'a' is given twice"),
    ],
)
def test_a_malformed_runtime_is_refused_with_the_right_form(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        RuntimeChoice.parse(text)
    assert message in caught.value.message
    assert "NAME@ENVIRONMENT" in caught.value.hint


def test_a_runtimes_own_arguments_take_precedence_over_those_of_all_runtimes() -> None:
    entry = registry.get("ort:graph_optimization=basic", CPU)
    assert (entry.name, entry.label) == ("ort", "ort:graph_optimization=basic")
    made = entry.make({"graph_optimization": "all", "spinning": "false"}).rt_args
    assert (made["graph_optimization"], made["spinning"]) == ("basic", False)
    with pytest.raises(UsageError, match="ort has no argument 'colour'"):
        registry.get("ort:colour=blue", CPU).make({})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path))
    return tmp_path


def test_two_settings_of_a_runtime_are_two_runtimes_and_duplicates_are_dropped(home: Path) -> None:
    names = ["ort:spinning=false", "ort", "ort:spinning=false", RuntimeChoice(name="ort")]
    made = api.plan([__file__], runtimes=names, device="cpu")
    assert [str(one) for one in made.runtimes] == ["ort:spinning=false", "ort"]


def test_a_plan_is_the_same_after_json(home: Path) -> None:
    made = api.plan(
        [__file__],
        runtimes=["ort:spinning=false", "ort:execution_mode=parallel,inter_op_threads=2"],
        device="cpu",
        rt_args={"graph_optimization": "basic"},
        script_args=["--n", "1"],
        shapes={"image": (1, 3)},
        dimensions={"batch": 8},
        interleaved=True,
        results=home / "results",
        precision=0.01,
    )
    again = Plan.from_json(json.loads(json.dumps(made.to_json())))
    assert again == made
    assert again.settings.max_time_s == 60


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "isobench.plan/99"}, "plan.schema must be isobench.plan/1, got 'isobench.plan/99'"),
        ({"settings": {"threads": 0}}, "--threads must be at least 1, got 0"),
        ({"models": 1}, "plan.models"),
    ],
)
def test_a_plan_that_does_not_match_its_schema_is_refused(changes: dict[str, Any], message: str) -> None:
    made = Plan(models=(), runtimes=(), device="cpu", settings=Settings(threads=1)).to_json()
    with pytest.raises(ValueError, match=r".") as caught:
        Plan.from_json(made | changes)
    assert message in str(caught.value)


KEY = CaseKey(
    source_sha256="0" * 64,
    model_hash="12ab34cd",
    weights_sha256="1" * 64,
    script_args=("--n", "1"),
    dimensions={"batch": 8},
    shapes={"image": (1, 3)},
    steps=(Step(tool="export-pytorch", options={"opset": 17}),),
    runtime="ort",
    arguments={"spinning": True},
    environment="a" * 64,
    device="x86",
    settings=Settings(threads=2),
    interleaved=False,
)


def test_the_same_case_has_the_same_key_in_another_process() -> None:
    code = "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import test_plan; print(test_plan.KEY)"
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(KEY)
    assert len(str(KEY)) >= 16
    assert str(replace(KEY, arguments={"spinning": True})) == str(KEY)


@pytest.mark.parametrize(
    "changes",
    [
        {"source_sha256": "2" * 64},
        {"model_hash": ""},
        {"weights_sha256": ""},
        {"script_args": ("--n", "2")},
        {"dimensions": {"batch": 9}},
        {"shapes": {"image": (1, 4)}},
        {"steps": (Step(tool="export-pytorch", options={"opset": 18}),)},
        {"runtime": "ort@mine"},
        {"arguments": {"spinning": False}},
        {"environment": "b" * 64},
        {"device": "cpu"},
        {"settings": Settings(threads=1)},
        {"settings": Settings(threads=2, iterations=100)},
        {"settings": Settings(threads=2, seed=1)},
        {"interleaved": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_each_part_of_a_case_changes_its_key(changes: dict[str, Any]) -> None:
    assert str(replace(KEY, **changes)) != str(KEY)


def test_every_setting_counts_except_those_that_change_no_figure() -> None:
    others: dict[str, Any] = {
        "iterations": 7, "min_time_s": 7.0, "max_time_s": 7.0, "warmup": 7, "select": False, "processes": 7,
        "precision": 0.5, "threads": 7, "cpus": (7,), "nice": 7, "memory_nodes": (7,), "heap": "default", "seed": 7,
        "timeout_s": 7.0, "phase_timeouts_s": {"measure": 7.0}, "memory_limit_bytes": 7 << 30, "opset": 7,
        "max_depth": 7,
    }  # fmt: skip
    assert others.keys() == {one.name for one in fields(Settings)}
    for name, value in others.items():
        same = str(replace(KEY, settings=replace(KEY.settings, **{name: value}))) == str(KEY)
        assert same == (name in NOT_COUNTED), name


def test_a_case_that_was_not_built_has_a_key_and_a_file_name_as_id(home: Path) -> None:
    model = Model(path=Path(__file__))
    made = api.plan([__file__], runtimes=["ort:graph_optimization=basic"], device="cpu")
    keys = set()
    for text in ("ort:graph_optimization=basic", "ort", "ort:graph_optimization=basic"):
        case = Case(made, registry.get(text, CPU), model, None, on_stage=print)
        result = case.failed(UsageError("it failed"))
        assert result.case_key == str(case.key)
        assert result.runtime.label == text
        keys.add(result.case_key)
        assert case.key.environment
    assert len(keys) == 2
    made_id = new_id(datetime.now(UTC), "a net/v2", "ort@mine:a=[1,2],b=/x")
    assert "-a-net-v2-ort@mine-a-1-2-b-x-" in made_id


@pytest.mark.parametrize(("wait", "wait_s"), [(True, None), (False, 0.0), (2, 2.0), (0.5, 0.5)])
def test_a_plan_waits_for_a_device_as_long_as_it_is_allowed_to(wait: bool | float, wait_s: float | None) -> None:
    made = api.plan([__file__], runtimes=["ort"], device="cpu", wait=wait)
    assert made.wait_s == wait_s
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize("wait", [-1, float("nan"), float("inf"), "5", None])
def test_what_is_no_time_to_wait_is_refused(wait: Any) -> None:
    with pytest.raises(UsageError, match="wait must be true, false, or a number of seconds, got"):
        api.plan([__file__], runtimes=["ort"], device="cpu", wait=wait)
