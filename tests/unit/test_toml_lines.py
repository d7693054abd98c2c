"""The lines on which keys and values of a TOML text stand."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from isobench.planning.toml_lines import Place, line, lines

TEXT = '''# a comment with = and [brackets]
name = "x"
"quoted key" . 'literal.key' = """
not = "a key" ] [ \\""" "" x"""""
after = 1

[settings] # a comment
cpus = [
  0, # one ] in a comment
  [2,
   3], { a = "]", b.c = [1,
4] }, \'\'\'
[[no]]
x = 1\'\'\', 'it"s' ]
when = 1979-05-27 07:32:00
[[models]]
path = "\\"a\\u0062"
[models.matrix]
batch = [1, 8]
[[models]]
[[models.rows]]
value = 1
[[models.rows]]
value = 2
[ "a b" . c ]
d.e = 0x1F
empty = {}
none = []
'''


def places(value: Any, at: Place = ()) -> set[Place]:
    """Every place in a value that tomllib returned."""
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    else:
        return {at}
    return {at}.union(*(places(one, (*at, key)) for key, one in inner))


def test_every_key_and_value_that_tomllib_finds_has_a_line() -> None:
    assert set(lines(TEXT)) == places(tomllib.loads(TEXT)) - {()}


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (("name",), "name"),
        (("quoted key", "literal.key"), '"quoted key"'),
        (("after",), "after"),
        (("settings",), "[settings]"),
        (("settings", "cpus"), "cpus"),
        (("settings", "cpus", 0), "0, #"),
        (("settings", "cpus", 1), "[2,"),
        (("settings", "cpus", 1, 1), "3]"),
        (("settings", "cpus", 2, "b", "c", 0), "3], { a"),
        (("settings", "cpus", 2, "b", "c", 1), "4] }"),
        (("settings", "cpus", 4), "x = 1'''"),
        (("settings", "when"), "when"),
        (("models", 0), "[[models]]"),
        (("models", 0, "matrix", "batch", 1), "batch"),
        (("models", 1, "rows", 1, "value"), "value = 2"),
        (("a b", "c", "d", "e"), "d.e"),
    ],
)
def test_a_place_has_the_line_on_which_it_stands(place: Place, text: str) -> None:
    assert text in TEXT.splitlines()[lines(TEXT)[place] - 1]


def test_a_table_that_is_reopened_below_its_first_mention_has_its_first_line() -> None:
    found = lines("[a.b]\nx = 1\n[a]\ny = 2\n")
    assert (found["a",], found["a", "b"], found["a", "y"]) == (1, 1, 4)


def test_lines_that_end_as_on_windows_are_counted_once() -> None:
    found = lines('a = """\r\nb\r\n"""\r\nc = 1\r\n')
    assert (found["a",], found["c",]) == (1, 4)


def test_a_place_that_is_not_in_the_file_has_the_line_of_what_contains_it() -> None:
    found = lines("x = 1\n[a]\nb = [1]\n")
    assert line(found, ("a", "b", 7, "c")) == 3
    assert line(found, ("a", "missing")) == 2
    assert line(found, ("missing",)) == 1
    assert line({}, ()) == 1


def test_an_empty_text_has_no_places() -> None:
    assert lines("") == lines("# only a comment") == {}


@pytest.mark.parametrize("ends", ['"', '""', ""])
def test_a_long_string_may_end_with_quotes_of_its_own(ends: str) -> None:
    text = f"a = \"\"\"x{ends}\"\"\"\nb = '''y'''\nc = \"\"\nd = ''\ne = 1\n"
    assert tomllib.loads(text)["a"] == f"x{ends}"
    assert [lines(text)[key,] for key in "abcde"] == [1, 2, 3, 4, 5]
