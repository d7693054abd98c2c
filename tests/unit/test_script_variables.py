"""Environment variables of the user's own: which may be passed on, and what is recorded of them."""

from __future__ import annotations

import pytest

from isobench import redaction
from isobench.errors import UsageError
from isobench.planning import script_variables, selection
from isobench.supervisor import variables


def test_a_variable_has_the_value_that_is_given_or_that_it_has_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_WIDTH", "512")
    assert script_variables.parse(["MODEL_WIDTH", "A=b=c", "EMPTY="]) == {"MODEL_WIDTH": "512", "A": "b=c", "EMPTY": ""}


def test_a_variable_that_is_not_set_is_refused_without_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODEL_WIDTH", raising=False)
    with pytest.raises(UsageError, match=r"^--env MODEL_WIDTH: MODEL_WIDTH is not set") as caught:
        script_variables.parse(["MODEL_WIDTH"])
    assert caught.value.hint == "Give its value: --env MODEL_WIDTH=VALUE"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("OMP_NUM_THREADS", "--threads sets it"),
        ("MALLOC_ARENA_MAX", "--heap sets it"),
        ("ISOBENCH_HOME", "isobench sets it"),
        ("PYTHONPATH", "a worker's Python ignores it"),
        ("LD_PRELOAD", "it changes which libraries a runtime loads"),
    ],
)
def test_variables_that_isobench_needs_are_refused(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"^--env {name} can't be passed on: {reason}"):
        script_variables.parse([f"{name}=1"])


def test_every_variable_that_isobench_sets_itself_is_refused() -> None:
    for name in (*variables.THREAD_VARIABLES, *variables.STEADY_HEAP):
        with pytest.raises(UsageError):
            script_variables.checked({name: "1"})


@pytest.mark.parametrize("text", ["=1", "A B=1", "1A=2"])
def test_a_name_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--env must be NAME=VALUE or NAME"):
        script_variables.parse([text])


def test_a_secret_is_recorded_as_a_hash_only() -> None:
    found = script_variables.recorded({"HF_TOKEN": "hf_abc", "MODEL_WIDTH": "512"})
    assert found["MODEL_WIDTH"] == "512"
    assert found["HF_TOKEN"].startswith("sha256:")
    assert "hf_abc" not in found["HF_TOKEN"]


def test_a_command_is_recorded_without_secrets() -> None:
    command = ["isobench", "run", "--env", "HF_TOKEN=hf_abc", "--env=MY_SECRET=s", "--env", "WIDTH=5", "a=b_token=c"]
    shown = ("isobench", "run", "--env", "HF_TOKEN=...", "--env=MY_SECRET=...", "--env", "WIDTH=5", "a=b_token=c")
    assert redaction.words(command) == shown


def test_a_variable_that_the_script_asked_for_in_vain_is_named_with_its_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_WIDTH", "512")
    monkeypatch.setenv("MODEL_DEPTH", "3")
    monkeypatch.delenv("OTHER", raising=False)
    assert script_variables.unpassed(["MODEL_DEPTH", "MODEL_WIDTH", "OTHER"], {"MODEL_DEPTH": "3"}) == [
        "the script reads MODEL_WIDTH, which is set here but not passed on to it: use --env MODEL_WIDTH"
    ]


def test_selected_models_have_the_variables() -> None:
    [model] = selection.select([__file__], env={"MODEL_WIDTH": "512"})
    assert model.env == {"MODEL_WIDTH": "512"}
