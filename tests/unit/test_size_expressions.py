from __future__ import annotations

import pytest

from isobench.builds import size_expressions

SIZES = {"past_sequence_length": 16, "s0": 7, "x": 9, "batch-size": 2, "p2o.Dim.0": 4}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("past_sequence_length + 1", 17),
        ("2*s0", 14),
        ("floor(x/2)", 4),
        ("ceiling(x/2)", 5),
        ("s0//2", 3),
        ("Max(1, s0)", 7),
        ("Min(4, s0, x)", 4),
        ("(s0 - 1)//2 + 1", 4),
        ("floor(s0/2 - 1/2) + 1", 4),
        ("Mod(x, 4) + x % 4", 2),
        ("FloorDiv(x, 2)", 4),
        ("s0**2 - 1", 48),
        ("2^3 + s0", 15),
        ("-s0 + 8", 1),
        ("s0 - -1", 8),
        ("10 - s0 - 3", 0),
        ("past_sequence_length - s0 * 2", 2),
        ("batch-size*p2o.Dim.0", 8),
        ("math.floor(x / 2)", 4),
        ("x/3", 3),
    ],
)
def test_an_expression_has_a_value(text: str, size: int) -> None:
    assert size_expressions.names(text) <= set(SIZES)
    assert size_expressions.names(text)
    assert size_expressions.value(text, SIZES) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "batch",
        "batch-size",
        "batch size",
        "unk__12",
        "?",
        "-1",
        "3",
        "a +",
        "(a + 1",
        "a + 1)",
        "a b + 1",
        "a..b()",
        "__import__('os').system('true')",
        "open(a)",
        "a.b.c",
        "lambda: a",
        "a" * 2000 + "+1",
        "(" * 80 + "a" + ")" * 80 + "+1",
    ],
)
def test_a_name_or_any_other_text_is_no_expression(text: str) -> None:
    assert size_expressions.names(text) == frozenset()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x/2", "is 4.5, not an integer"),
        ("s0 - 8", "is -1, below 0"),
        ("x//(s0 - 7)", "divides by 0"),
        ("x % (s0 - 7)", "divides by 0"),
        ("9**9**9 + s0", "exponent"),
        ("x**63**2", "exponent"),
        ("99999999999*99999999999*x", "too large"),
        ("floor(x, 2)", "arguments of floor"),
    ],
)
def test_a_value_that_is_no_size_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        size_expressions.value(text, SIZES)
