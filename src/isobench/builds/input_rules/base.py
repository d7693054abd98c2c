"""Rule: how the values of an input are chosen. At: what a rule can ask about the operator that consumes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from isobench.builds.constants import Constants
from isobench.builds.graph_view import Scope, Shape
from isobench.builds.input_uses import UNKNOWN, Use
from isobench.record import record

if TYPE_CHECKING:
    import onnx

SHOWN = 8


@record(frozen=True, slots=True, kw_only=True)
class Rule:
    """How values are chosen, in words and in one of three ways.

    `low` to `high`, both included, drawn uniformly (`whole`: integers, whatever the type); `exact`: an array that the
    seed doesn't change; `make`: drawn by a function of generator and shape. `structural`: an operator's sizes, axes or
    lengths. `empty`: no value is valid, because of what the words say.
    """

    words: str
    low: float | None = None
    high: float | None = None
    whole: bool = False
    exact: Any = None
    make: Callable[[Any, tuple[int, ...]], Any] | None = None
    structural: bool = False
    empty: bool = False


@record(frozen=True, slots=True, kw_only=True)
class At:
    """An operator's input that a rule is asked for. `known` has the elements that are constants, else UNKNOWN."""

    use: Use
    constants: Constants
    known: Any = None

    @property
    def node(self) -> onnx.NodeProto:
        return self.use.node

    @property
    def scope(self) -> Scope:
        return self.use.scope

    @property
    def operator(self) -> str:
        return self.use.operator

    @property
    def opset(self) -> int:
        """The version of the operator's domain."""
        return self.scope.opset(self.node.domain)

    def name(self, slot: int) -> str:
        """The name of the value at an input of the operator; "" if it has none."""
        return self.node.input[slot] if slot < len(self.node.input) else ""

    def shape(self, slot: int | None = None) -> Shape | None:
        """The shape at an input of the operator (by default the one that the rule is for)."""
        name = self.name(self.use.slot if slot is None else slot)
        return self.scope.shape(name) if name else None

    def sizes(self, slot: int | None = None) -> tuple[int, ...] | None:
        """The same, if it's known completely."""
        shape = self.shape(slot)
        return None if shape is None or None in shape else tuple(size or 0 for size in shape)

    @property
    def count(self) -> int | None:
        """How many elements the operator's input has."""
        sizes = self.sizes()
        return None if sizes is None else math.prod(sizes)

    def value(self, slot: int) -> Any:
        """The values at another input of the operator, if they are known: an array, or None."""
        name = self.name(slot)
        return self.constants.value(self.scope, name) if name else None

    def integers(self, slot: int) -> list[int] | None:
        """The same, as a list of integers."""
        value = self.value(slot)
        return None if value is None or value.dtype.kind not in "iuf" else [int(entry) for entry in value.reshape(-1)]

    def declared(self, output: int = 0) -> Shape | None:
        """The shape of one of the operator's outputs, as far as it is declared or inferred."""
        if output >= len(self.node.output) or not self.node.output[output]:
            return None
        return self.scope.shape(self.node.output[output])

    def attribute(self, name: str, default: Any = None) -> Any:
        """The value of an attribute of the operator."""
        import onnx

        for entry in self.node.attribute:
            if entry.name == name and not entry.ref_attr_name:
                return onnx.helper.get_attribute_value(entry)
        return default

    def axis(self, rank: int, name: str = "axis", default: int = 0) -> int:
        """The attribute `axis` of the operator, counted from the front."""
        axis = int(self.attribute(name, default))
        return axis + rank if axis < 0 else axis

    def fixed(self) -> list[int | None]:
        """The elements of this input as a flat list; None where the rule may choose."""
        if self.known is None:
            return [None] * (self.count or 0)
        return [None if entry == UNKNOWN else int(entry) for entry in self.known.reshape(-1)]


RuleMaker = Callable[[At], Rule | None]
"""What the table holds: a function that returns a rule, or None where too little is known about the operator."""


def exactly(at: At, values: Sequence[Any] | float, words: str = "") -> Rule | None:
    """The very values, in the shape of the operator's input; `words` is their meaning (the operand's name)."""
    import numpy as np

    sizes = at.sizes()
    array = np.array(values)
    if sizes is None or array.size not in {1, math.prod(sizes)}:
        return None
    array = np.broadcast_to(array.reshape(()), sizes) if array.size == 1 else array.reshape(sizes)
    return Rule(exact=array, structural=True, words=f"{shown(array)} ({words or at.use.operand} of {at.operator})")


def within(low: float, high: float, words: str) -> Rule:
    """Values from `low` to `high`, both included."""
    return Rule(low=low, high=high, words=words)


def shown(array: Any) -> str:
    """The values of an array in words; the first few of many."""
    import numpy as np

    flat = [entry.item() for entry in np.asarray(array).reshape(-1)[: SHOWN + 1]]
    if array.size > 1 and len(np.unique(array)) == 1:
        return f"all {_number(flat[0])}"
    words = ", ".join(_number(entry) for entry in flat[:SHOWN])
    return f"{words}, ..." if array.size > SHOWN else words or "no values"


def _number(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def fits(sizes: Sequence[int], declared: Shape | None) -> bool:
    """Whether the sizes agree with a declared shape, as far as that says any."""
    return declared is None or (
        len(sizes) == len(declared) and all(other in {None, size} for size, other in zip(sizes, declared, strict=True))
    )
