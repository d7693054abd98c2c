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
def test_text_becomes_what_the_annotation_says(value: Any, kind: Any, expected: Any) -> None:
    made = converted(value, kind)
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("x", int, "is 'x', and it is to be int"),
        ("1.5", int, "is '1.5', and it is to be int"),
        (True, int, "has no value, and it is to be int"),
        (True, str, "has no value, and it is to be str"),
        ("perhaps", bool, "is 'perhaps', and it is to be bool"),
        (["1"], int, "is a list, and one int is to be given"),
        (["1", "x"], list[int], r"is \['1', 'x'\], and it is to be a list of int"),
        (["1"], tuple[int, int], "has 1 values, and it is to have 2"),
        ("none", Literal["all", "basic"], "is 'none', and it is to be one of all, basic"),
        ("x", int | None, "is 'x', and it is to be int or none"),
        ("x", dict, "is 'x', and it is to be dict"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(value: Any, kind: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        converted(value, kind)


class Takes:
    def __init__(self, needed: int, *, mode: Literal["all", "basic"] = "all", sizes: tuple[int, ...] = ()) -> None:
        pass


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"needed": "1", "colour": "blue"}, "mine takes no argument 'colour'"),
        ({"needed": "one"}, "mine: needed is 'one', and it is to be int"),
        ({}, "mine lacks the argument needed"),
    ],
)
def test_every_refusal_lists_what_is_taken(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        bind(Takes, given, who="mine")
    assert caught.value.hint == (
        "It takes needed (int), mode (one of all, basic, by default 'all'), sizes (list of int, by default ())."
    )


def test_one_that_takes_any_name_gets_the_text_as_it_is() -> None:
    def anything(known: int = 0, **further: Any) -> None:
        pass

    assert bind(anything, {"known": "1", "other": "1"}, who="mine") == {"known": 1, "other": "1"}
