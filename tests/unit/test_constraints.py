"""What members of records may be, and how values are shown in messages."""

from __future__ import annotations

from typing import Any

import pytest

from isobench import codec
from isobench.constraints import Count, Positive, PositiveCount, Share, Time, shown


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (Count, -1, "it must be at least 0, got -1"),
        (PositiveCount, 0, "it must be at least 1, got 0"),
        (PositiveCount, True, "it must be int, got bool"),
        (PositiveCount, 1.0, "it must be int, got float"),
        (PositiveCount, 10**400, "it must have at most 64 bits"),
        (Positive, 0.0, "it must be above 0, got 0.0"),
        (Positive, 10**400, "it must have at most 64 bits"),
        (Positive, float("inf"), "it must be finite, got inf"),
        (Share, 1.5, "it must be at least 0 and at most 1, got 1.5"),
        (Time, "yesterday", "it must be a time in ISO 8601 with its zone, got 'yesterday'"),
        (Time, "2026-01-01T00:00:00", "it must be a time in ISO 8601 with its zone"),
        (Any, {"a": [1, {"b": float("nan")}]}, "it must be finite, got nan"),
        (Any, {"a": [1, {"b": 2**70}]}, "it must have at most 64 bits"),
    ],
)
def test_a_value_out_of_its_range_is_refused(kind: Any, value: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        codec.decode(kind, value, "it")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("kind", "value"), [(Count, 0), (Positive, 1e-300), (Positive, 1), (Share, 1 + 1e-12)])
def test_a_value_within_its_range_is_taken(kind: Any, value: Any) -> None:
    assert codec.decode(kind, value, "it") == value


def test_what_is_nested_too_deeply_is_refused_at_any_depth() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="it is nested more than 40 times"):
        codec.decode(Any, value, "it")


def test_a_long_value_is_cut_in_a_message() -> None:
    assert shown("x" * 1000) == f"'{'x' * 79}..."
    assert shown([[[]]]) == "a list"
