"""Values of a suite: text with axes in it, settings as they are written."""

from __future__ import annotations

from typing import Any

import pytest

from isobench.errors import UsageError
from isobench.planning import suite_values
from isobench.planning.settings import OPTIONS


@pytest.mark.parametrize(
    ("text", "axes", "filled"),
    [
        ("plain", [], "plain"),
        ("--batch {batch}", ["batch"], "--batch 8"),
        ("{batch}x{ lr }", ["batch", "lr"], "8x0.5"),
        ("{batch}", ["batch"], 8),
        ("{flag}", ["flag"], True),
        ("flag={flag}", ["flag"], "flag=true"),
        ("{sizes}", ["sizes"], (1, 2)),
        ('{{"a": {batch}}}', ["batch"], '{"a": 8}'),
        ("{{batch}}", [], "{batch}"),
        ("{größe}", ["größe"], "µ"),
    ],
)
def test_a_text_is_filled_with_the_values_of_its_axes(text: str, axes: list[str], filled: Any) -> None:
    values = {"batch": 8, "lr": 0.5, "flag": True, "sizes": (1, 2), "größe": "µ", "unused": 1}
    assert suite_values.axes_in(text) == axes
    found = suite_values.filled(text, values)
    assert (found, type(found)) == (filled, type(filled))


@pytest.mark.parametrize("text", ["{", "a } b", "{}", "{ }", "{a{b}}"])
def test_a_single_brace_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="has a single"):
        suite_values.axes_in(text)


def test_a_list_can_not_be_part_of_a_text() -> None:
    with pytest.raises(ValueError, match=r"whose value is the list \[1, 2\]"):
        suite_values.filled("x{sizes}", {"sizes": (1, 2)})
    with pytest.raises(KeyError):
        suite_values.filled("x{missing}", {})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ("1", 1, False),
        ((1, 2), (1, 2.0), True),
        ((1, 2), (1,), False),
        ((1, True), (1, 1), False),
    ],
)
def test_true_is_not_one(one: Any, other: Any, same: bool) -> None:
    assert suite_values.is_same(one, other) is same
    assert suite_values.is_same(other, one) is same


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("threads", 2, 2),
        ("min_time_s", 1, 1),
        ("precision", "1%", 0.01),
        ("precision", 0.02, 0.02),
        ("select", False, False),
        ("cpus", "0-2,5", (0, 1, 2, 5)),
        ("cpus", [1, 0], (1, 0)),
        ("cpus", 3, (3,)),
        ("heap", "default", "default"),
    ],
)
def test_a_setting_is_written_as_on_the_command_line_or_as_a_number(name: str, given: Any, value: Any) -> None:
    assert suite_values.setting(OPTIONS[name], given) == value


@pytest.mark.parametrize(
    ("name", "given", "value"), [("threads", "2", 2), ("min_time_s", "0.5", 0.5), ("select", "true", True)]
)
def test_digits_are_a_number_only_in_a_text_that_was_filled(name: str, given: str, value: Any) -> None:
    assert suite_values.setting(OPTIONS[name], given, is_made=True) == value
    with pytest.raises(UsageError, match="must be"):
        suite_values.setting(OPTIONS[name], given)


def test_a_wrong_setting_is_named_as_the_suite_names_it() -> None:
    with pytest.raises(UsageError) as caught:
        suite_values.setting(OPTIONS["min_time_s"], -1)
    assert caught.value.message == "min-time must be at least 0, got -1"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "true"),
        ('a"b\\', '"a\\"b\\\\"'),
        ([1, "a", False], '[1, "a", false]'),
        ({"a": 1}, "a table"),
        ("x" * 100, '"' + "x" * 57 + '..."'),
    ],
)
def test_values_are_shown_as_toml_has_them(value: Any, shown: str) -> None:
    assert suite_values.shown(value) == shown
