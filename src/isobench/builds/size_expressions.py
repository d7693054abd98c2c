"""Sizes that are given as expressions: `past_sequence_length + 1`, `2*s0`, `floor(x/2)`, as exporters write them.

A parser of our own for sums, products and a few functions of names and integers: the text comes from the user's file,
so it is never evaluated as Python.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import NoReturn

# A hyphen followed by a letter belongs to a name (batch-size); exporters write a difference with blanks.
_TOKEN = re.compile(r"\s*(?:(\d+)|([^\W\d][\w.:]*(?:-[^\W\d][\w.:]*)*)|(\*\*|//|[-+*/%^(),]))")
_LONGEST = 1000
_DEEPEST = 50
_LARGEST = 2**63
_POWER = 63

FUNCTIONS: Mapping[str, Callable[..., Fraction]] = {
    "floor": lambda x: Fraction(math.floor(x)),
    "ceil": lambda x: Fraction(math.ceil(x)),
    "ceiling": lambda x: Fraction(math.ceil(x)),
    "trunc": lambda x: Fraction(math.trunc(x)),
    "round": lambda x: Fraction(round(x)),
    "abs": abs,
    "max": max,
    "min": min,
    "mod": lambda x, y: x % y,
    "floordiv": lambda x, y: Fraction(x // y),
    "cleandiv": lambda x, y: Fraction(x // y),
    "ceildiv": lambda x, y: Fraction(-(-x // y)),
    "inttruediv": lambda x, y: x / y,
    "toint": lambda x: Fraction(math.trunc(x)),
    "ceiltoint": lambda x: Fraction(math.ceil(x)),
    "floortoint": lambda x: Fraction(math.floor(x)),
    "trunctoint": lambda x: Fraction(math.trunc(x)),
}
"""By their names in lower case: those of Python, of SymPy, and of torch's symbolic shapes."""


def names(text: str) -> frozenset[str]:
    """The names in an expression; none where `text` isn't one (a plain name is none either)."""
    try:
        found = _Parser(text)
        found.parse(None)
    except ValueError:
        return frozenset()
    return frozenset(found.names) if found.operations else frozenset()


def value(text: str, sizes: Mapping[str, int]) -> int:
    """The size that an expression stands for, with those of the names in it.

    Raises:
        ValueError: it isn't an integer, or negative, or too large; or divides by zero.
    """
    try:
        result = _Parser(text).parse(sizes)
    except ZeroDivisionError:
        raise ValueError("divides by 0") from None
    if result.denominator != 1:
        raise ValueError(f"is {float(result):g}, not an integer")
    if result < 0:
        raise ValueError(f"is {result}, below 0")
    return int(result)


class _Parser:
    """Reads one expression from left to right. Without sizes, each name counts as 1 and nothing is calculated."""

    def __init__(self, text: str) -> None:
        self.names: set[str] = set()
        self.operations = 0
        self._tokens = _tokens(text)
        self._depth = 0

    def parse(self, sizes: Mapping[str, int] | None) -> Fraction:
        self._sizes = sizes
        result = self._sum()
        if self._tokens:
            _refuse(self._tokens[0])
        return result

    def _sum(self) -> Fraction:
        result = self._product()
        while self._next() in {"+", "-"}:
            sign = 1 if self._take() == "+" else -1
            result = self._calculated(lambda a, b, sign=sign: a + sign * b, result, self._product())
        return result

    def _product(self) -> Fraction:
        operations: Mapping[str, Callable[[Fraction, Fraction], Fraction]] = {
            "*": lambda a, b: a * b,
            "/": lambda a, b: a / b,
            "//": lambda a, b: Fraction(a // b),
            "%": lambda a, b: a % b,
        }
        result = self._signed()
        while self._next() in operations:
            operator, other = self._take(), self._signed()
            result = self._calculated(operations[operator], result, other)
        return result

    def _signed(self) -> Fraction:
        if self._next() in {"+", "-"}:
            sign = -1 if self._take() == "-" else 1
            with_sign: Fraction = sign * self._nested(self._signed)
            return with_sign
        return self._power()

    def _power(self) -> Fraction:
        result = self._operand()
        if self._next() in {"**", "^"}:
            self._take()
            exponent = self._nested(self._signed)
            if exponent.denominator != 1 or abs(exponent) > _POWER:
                raise ValueError(f"has the exponent {exponent}")
            result = self._calculated(lambda a, b: Fraction(a ** int(b)), result, exponent)
        return result

    def _operand(self) -> Fraction:
        token = self._take()
        if token.isdigit():
            return Fraction(int(token))
        if token == "(":  # noqa: S105 - not a password
            result = self._nested(self._sum)
            self._expect(")")
            return result
        if not token[:1].isalpha() and token[:1] != "_":
            _refuse(token)
        if self._next() == "(":
            return self._call(token)
        self.names.add(token)
        return Fraction(1) if self._sizes is None else Fraction(self._sizes[token])

    def _call(self, name: str) -> Fraction:
        function = FUNCTIONS.get(name.lower().rpartition(".")[2])
        if function is None:
            _refuse(name)
        self._take()
        arguments = [self._nested(self._sum)]
        while self._next() == ",":
            self._take()
            arguments.append(self._nested(self._sum))
        self._expect(")")
        try:
            return self._calculated(function, *arguments)
        except TypeError:
            raise ValueError(f"has {len(arguments)} arguments of {name}") from None

    def _calculated(self, operation: Callable[..., Fraction], *values: Fraction) -> Fraction:
        self.operations += 1
        if self._sizes is None:
            return Fraction(1)
        result = Fraction(operation(*values))
        if abs(result) >= _LARGEST:
            raise ValueError("is too large")
        return result

    def _nested(self, read: Callable[[], Fraction]) -> Fraction:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("is nested too deeply")
        result = read()
        self._depth -= 1
        return result

    def _next(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _take(self) -> str:
        if not self._tokens:
            raise ValueError("is incomplete")
        return self._tokens.pop(0)

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise ValueError(f"lacks {token!r}")


def _tokens(text: str) -> list[str]:
    if len(text) > _LONGEST:
        raise ValueError("is too long")
    found, place = [], 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            _refuse(text[place])
        found.append(match[match.lastindex or 0])
        place = match.end()
    return found


def _refuse(token: str) -> NoReturn:
    raise ValueError(f"has {token!r} in a wrong place")
