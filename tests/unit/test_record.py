"""A record behaves as the frozen dataclass of the same fields; only its definition is quicker."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar

import pytest

from isobench.record import record

Make = Callable[..., Any]


@record(frozen=True, slots=True, kw_only=True)
class Point:
    """A point."""

    kind: ClassVar[str] = "point"
    x: int
    y: float = 0.5
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    note: str = dataclasses.field(default="", repr=False, compare=False)


@record(frozen=True, slots=True, kw_only=True)
class Named(Point):
    """A point with a name."""

    name: str = "origin"

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name.upper())

    def __str__(self) -> str:
        return self.name


@record(frozen=True, slots=True, kw_only=True)
class One:
    """It has one member."""

    only: int


@record(frozen=True, slots=True, kw_only=True)
class Nothing:
    """It has none."""


@record(frozen=True, kw_only=True)
class Lazy:
    """It has no slots."""

    value: int

    @cached_property
    def double(self) -> int:
        return self.value * 2


@record(frozen=True, slots=True, kw_only=True)
class Own:
    """It compares in its own way."""

    value: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own)

    def __hash__(self) -> int:
        return 7

    def __repr__(self) -> str:
        return "own"


@record(frozen=True, slots=True, kw_only=True)
class OwnEquality:  # noqa: PLW1641 - a record has one
    """It compares in its own way, and has the hash of its members."""

    value: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OwnEquality) and self.value == other.value


def as_dataclass(kind: type) -> Any:
    """The standard dataclass of a record's fields."""

    def copied(one: dataclasses.Field[Any]) -> Any:
        options: dict[str, Any] = {
            name: getattr(one, name) for name in ("default", "default_factory", "repr", "compare")
        }
        return dataclasses.field(**options)

    members = [(one.name, one.type, copied(one)) for one in dataclasses.fields(kind)]
    return dataclasses.make_dataclass(kind.__name__, members, frozen=True, slots=True, kw_only=True)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Point, {"x": 1}),
        (Point, {"x": 1, "y": float("nan"), "note": "n", "tags": {"a": "b"}}),
        (Named, {"x": 3, "name": "ORIGIN"}),
        (One, {"only": 1}),
        (Nothing, {}),
    ],
)
def test_it_is_made_shown_and_compared_as_a_dataclass_is(kind: Any, values: dict[str, Any]) -> None:
    standard = as_dataclass(kind)
    ours, theirs = kind(**values), standard(**values)
    assert repr(ours) == repr(theirs)
    assert dataclasses.asdict(ours) == dataclasses.asdict(theirs) or values.get("y") != values.get("y")
    assert (ours == kind(**values)) == (theirs == standard(**values))
    assert ours != theirs
    assert ours.__eq__(3) is NotImplemented
    assert [one.name for one in dataclasses.fields(ours)] == [one.name for one in dataclasses.fields(theirs)]
    assert repr(dataclasses.replace(ours, **values)) == repr(ours)


def test_what_isnt_compared_or_shown_counts_for_nothing() -> None:
    assert Point(x=1, note="a") == Point(x=1, note="b")
    assert "note" not in repr(Point(x=1, note="a"))
    assert Point(x=1) != Named(x=1)


def test_equal_records_have_equal_hashes() -> None:
    assert hash(One(only=1)) == hash(One(only=1))
    assert len({One(only=1), One(only=1), One(only=2)}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(x=1))  # a dictionary is in it


@pytest.mark.parametrize("kind", [Point, Named])
def test_it_cannot_be_changed(kind: Any) -> None:
    made = kind(x=1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="'x'"):
        made.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.unknown = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del made.x
    assert not hasattr(made, "__dict__")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Point, "Point\\(\\) needs the argument 'x'"),
        (lambda: Point(x=1, z=2), "Point\\(\\) has no argument 'z'"),  # type: ignore[call-arg]
        (lambda: Point(1), "positional argument"),  # type: ignore[call-arg]
    ],
)
def test_wrong_arguments_are_named(make: Make, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


def test_a_mutable_default_is_refused_as_in_a_dataclass() -> None:
    with pytest.raises(ValueError, match="mutable default"):

        @record(frozen=True, slots=True, kw_only=True)
        class _Wrong:
            members: list[int] = []  # noqa: RUF012 - it is what is tested


def test_options_of_a_field_that_records_do_not_have_are_refused() -> None:
    for field in (dataclasses.field(init=False, default=1), dataclasses.field(hash=False, default=1)):
        kind = type("Wrong", (), {"__annotations__": {"x": "int"}, "x": field, "__module__": __name__, "__doc__": ""})
        with pytest.raises(AssertionError):
            record(frozen=True, slots=True, kw_only=True)(kind)


def test_defaults_of_a_factory_are_not_shared() -> None:
    assert Point(x=1).tags is not Point(x=1).tags


def test_methods_of_its_own_stay() -> None:
    assert repr(Own(value=1)) == "own"
    assert Own(value=1) == Own(value=2)
    assert hash(Own(value=1)) == 7
    assert str(Named(x=1, name="a")) == "A"
    assert len({OwnEquality(value=1), OwnEquality(value=1)}) == 1


def test_without_slots_values_can_be_cached() -> None:
    made = Lazy(value=2)
    assert (made.double, made.double) == (4, 4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.value = 3  # type: ignore[misc]


@pytest.mark.parametrize("made", [Point(x=1, tags={"a": "b"}), Named(x=1), One(only=1), Nothing()], ids=repr)
def test_it_can_be_copied_and_pickled(made: Any) -> None:
    for again in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert again == made
        assert type(again) is type(made)


def test_help_shows_its_arguments() -> None:
    shown = inspect.signature(Point)
    assert list(shown.parameters) == ["x", "y", "tags", "note"]
    assert shown.parameters["x"].default is inspect.Parameter.empty
    assert shown.parameters["y"].default == 0.5
    assert {one.kind for one in shown.parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert list(inspect.signature(Named).parameters) == ["x", "y", "tags", "note", "name"]
