from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from isobench.errors import UsageError
from isobench.runtimes.keywords import bind, converted


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("3", int, 3),
        ("-3", int, -3),
        (3, float, 3.0),
        ("1e-3", float, 1e-3),
        ("text", str, "text"),
        ("3", str, "3"),
        ("true", bool, True),
        ("Off", bool, False),
        (True, bool, True),
        ("a/b", Path, Path("a/b")),
        ("none", int | None, None),
        ("4", int | None, 4),
        ("fast", int | str, "fast"),
        ("5", str | int, 5),
        ("basic", Literal["all", "basic"], "basic"),
        ("2", Literal[1, 2], 2),
        (["1", "2"], list[int], [1, 2]),
        ("1", list[int], [1]),
        (["1", "x"], tuple[int, str], (1, "x")),
        (["1", "2"], tuple[float, ...], (1.0, 2.0)),
        (["a"], Sequence[str], ["a"]),
        (["a", "b"], list, ["a", "b"]),
        (["none", "2"], list[int | None], [None, 2]),
        ("whatever", Any, "whatever"),
    ],
)
def test_text_is_converted_to_the_annotated_type(value: Any, kind: Any, expected: Any) -> None:
    made = converted(value, kind)
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("x", int, "must be int, got 'x'"),
        ("1.5", int, "must be int, got '1.5'"),
        (True, int, "must be int, got no value"),
        (True, str, "must be str, got no value"),
        ("perhaps", bool, "must be bool, got 'perhaps'"),
        (["1"], int, "must be one int, got a list"),
        (["1", "x"], list[int], r"must be a list of int, got \['1', 'x'\]"),
        (["1"], tuple[int, int], "must have 2 values, got 1"),
        ("none", Literal["all", "basic"], "must be one of all, basic, got 'none'"),
        ("x", int | None, "must be int or none, got 'x'"),
        ("x", dict, "must be dict, got 'x'"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_the_right_one(value: Any, kind: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        converted(value, kind)


class Takes:
    def __init__(self, needed: int, *, mode: Literal["all", "basic"] = "all", sizes: tuple[int, ...] = ()) -> None:
        pass


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"needed": "1", "colour": "blue"}, "mine has no argument 'colour'"),
        ({"needed": "one"}, "mine: needed must be int, got 'one'"),
        ({}, "mine needs the argument needed"),
    ],
)
def test_every_refusal_lists_the_arguments(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        bind(Takes, given, who="mine")
    assert caught.value.hint == (
        "Its arguments are: needed (int), mode (one of all, basic; default 'all'), sizes (list of int; default ())."
    )


def test_further_keywords_stay_text() -> None:
    def anything(known: int = 0, **further: Any) -> None:
        pass

    assert bind(anything, {"known": "1", "other": "1"}, who="mine") == {"known": 1, "other": "1"}
