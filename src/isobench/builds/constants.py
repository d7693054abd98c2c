"""The values of a graph that are known before it runs: small constants, and what is computed from them and shapes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from isobench.builds.graph_view import KNOWN_ELEMENTS, Scope, has_values

if TYPE_CHECKING:
    import onnx

MOST = 100_000
"""Values that are computed at most."""

DEPTH = 200
"""The longest chain of nodes that is evaluated."""

# Operators that are evaluated: those that compute shapes and tables. All are of ONNX's own domain.
_EVALUATED = (
    "Abs Add And ArgMax ArgMin Cast CastLike Ceil Clip Concat Constant ConstantOfShape CumSum DequantizeLinear Div "
    "Equal Expand Flatten Floor Gather GatherElements GatherND Greater GreaterOrEqual Identity Less LessOrEqual Max "
    "Min Mod Mul Neg NonZero Not OneHot Or Pad Pow Range ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Reshape "
    "Round ScatterElements ScatterND Sign Slice Split Sqrt Squeeze Sub Tile TopK Transpose Trilu Unsqueeze Where Xor"
)
EVALUATED = frozenset(_EVALUATED.split())
# Operators whose output may be much larger than their inputs: evaluated where inference knows that it isn't.
GROWING = frozenset({"ConstantOfShape", "Expand", "OneHot", "Pad", "Range", "Tile"})


class Constants:
    """Values by scope and name. `of_input` returns the values of a graph input, or None where they aren't known."""

    def __init__(self, of_input: Callable[[str], Any]) -> None:
        self._of_input = of_input
        self._found: dict[tuple[int, str], Any] = {}
        self._under_way: set[tuple[int, str]] = set()
        self._cut_short = 0
        self._computed = 0

    def not_yet(self) -> None:
        """Called where a value isn't known yet: what depends on it is computed again when it's asked for again."""
        self._cut_short += 1

    def value(self, scope: Scope, name: str) -> Any:
        """The value as a numpy array, or None if it isn't known before the graph runs, or is large."""
        home = scope.home(name) if name else None
        if home is None:
            return None
        key = id(home), name
        if key in self._found:
            return self._found[key]
        if key in self._under_way or len(self._under_way) >= DEPTH or self._computed >= MOST:
            self.not_yet()
            return None
        self._computed += 1
        before = self._cut_short
        self._under_way.add(key)
        value = self._compute(home, name)
        self._under_way.remove(key)
        if value is not None or self._cut_short == before:  # otherwise it may be known when asked for in another order
            self._found[key] = value
        return value

    def _compute(self, scope: Scope, name: str) -> Any:
        if name in scope.tensors:
            return _values(scope.tensors[name])
        if name not in scope.producers:
            return self._of_input(name) if scope.parent is None else None
        node = scope.producers[name]
        shape = scope.shape(node.input[0]) if node.input else None
        if node.op_type == "Shape" and shape is not None and None not in shape:
            return _shape_of(node, shape)
        if node.op_type == "Size" and shape is not None and None not in shape:
            return _array(math.prod(size or 0 for size in shape))
        if node.op_type not in EVALUATED or node.domain not in {"", "ai.onnx"}:
            return None
        if not _is_small(scope.shape(name), grows=node.op_type in GROWING):
            return None
        inputs = {}
        for each in node.input:
            inputs[each] = self.value(scope, each)
            if each and inputs[each] is None:
                return None
        return evaluate(node, scope, inputs).get(name)


def _values(tensor: onnx.TensorProto) -> Any:
    import onnx

    try:
        return onnx.numpy_helper.to_array(tensor) if has_values(tensor) else None
    except (ValueError, TypeError, KeyError):  # its data is in another file, or doesn't fit its shape
        return None


def evaluate(node: onnx.NodeProto, scope: Scope, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of one node by name, by ONNX's reference implementation; {} if it can't compute them."""
    import numpy as np
    from onnx.reference import ReferenceEvaluator

    if any(attribute.HasField("g") for attribute in node.attribute):
        return {}
    if node.op_type == "Constant" and any(e.HasField("t") and not has_values(e.t) for e in node.attribute):
        return {}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            evaluator = ReferenceEvaluator(node, opsets=dict(scope.opsets))
            values = evaluator.run(None, {name: value for name, value in inputs.items() if name})
    except Exception:  # noqa: BLE001 - an operator, version or value that isn't supported only means less knowledge
        return {}
    return dict(zip(node.output, values, strict=False))


def _is_small(shape: tuple[int | None, ...] | None, *, grows: bool) -> bool:
    if shape is None or None in shape:
        return not grows
    return math.prod(size or 0 for size in shape) <= KNOWN_ELEMENTS


def _shape_of(node: onnx.NodeProto, shape: tuple[int | None, ...]) -> Any:
    first = next((entry.i for entry in node.attribute if entry.name == "start"), 0)
    last = next((entry.i for entry in node.attribute if entry.name == "end"), len(shape))
    return _array(shape[first:last])


def _array(values: Any) -> Any:
    import numpy as np

    return np.array(values, np.int64)
