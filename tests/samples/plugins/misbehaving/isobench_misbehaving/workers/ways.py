"""The register of misbehaviour: each way has a name, a time, and the endings that are right for it."""

from typing import NamedTuple


class Way(NamedTuple):
    name: str
    when: str
    does: object
    endings: tuple
    says: str


WAYS = {}


def way(when, *endings, says=""):
    """Register a function as the way of its name: what it does `when`, and how the Case must end (`Ending`s).

    `says` is a part of the message (a regular expression), or of the verdict's reasons if it was measured.
    """

    def register(function):
        name = function.__name__.replace("_", "-")
        assert name not in WAYS, name
        WAYS[name] = Way(name, when, function, endings, says)
        return function

    return register


def raises(make):
    """A way that raises the exception that `make` returns."""

    def does(_folder):
        raise make()

    return does


def each(when, *endings, says="", **variants):
    """The same for several functions of one kind: `each("late", "protocol", nan=..., text=...)`."""
    for name, function in variants.items():
        function.__name__ = name
        way(when, *endings, says=says)(function)
