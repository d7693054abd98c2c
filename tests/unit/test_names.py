"""A name that is nearly right, and one of which only the beginning was typed."""

from __future__ import annotations

import pytest

from isobench.system import names


def test_the_closest_known_name_is_suggested() -> None:
    assert names.did_you_mean("trch", ["ort", "torch"]) == "; did you mean torch?"
    assert names.did_you_mean("keras", ["ort", "torch"]) == ""


@pytest.mark.parametrize(
    ("prefix", "found"),
    [("ab", ["abc", "abd"]), ("abc", ["abc"]), ("abcd", []), ("", []), ("b", ["b"])],
)
def test_a_prefix_finds_what_begins_with_it_and_a_whole_name_only_itself(prefix: str, found: list[str]) -> None:
    assert list(names.by_prefix(prefix, ["abc", "abd", "b", "ba"], str)) == found
