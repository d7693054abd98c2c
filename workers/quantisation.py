"""Quantised models: which ones are, and the difference between neighbouring values of their outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx_weights

WHOLE = {"QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "QLinearAdd", "QLinearMul"}
WHOLE |= {"QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearConcat", "QLinearLeakyRelu", "QLinearSigmoid"}
WHOLE |= {"QLinearSoftmax", "QLinearWhere", "QLinearReduceMean"}
"""Operators that return quantised values."""
OTHERS = {"ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "QGemm", "QAttention"}
OTHERS |= {"DynamicQuantizeLSTM"}
"""Operators that compute with quantised values, and return others."""
SELECTING = {"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Slice", "Gather", "Expand", "Tile"}
SELECTING |= {"MaxPool", "GlobalMaxPool", "Relu", "Clip", "Concat", "Split", "Pad", "DepthToSpace", "SpaceToDepth"}
SELECTING |= {"GatherElements", "GatherND", "Max", "Min", "ReduceMax", "ReduceMin", "Resize", "Upsample", "Dropout"}
"""Operators whose output has values of their first input, or of all for `Concat`, `Max` and `Min`."""

_ALL_INPUTS = {"Concat", "Max", "Min"}


def quantised(contents: onnx_weights.Contents) -> bool:
    """Does the model compute with quantised values?"""
    return not (WHOLE | OTHERS).isdisjoint(contents.operators)


def steps(contents: onnx_weights.Contents) -> dict[str, float]:
    """The step of each output that has quantised values; 1 where these are whole numbers."""
    found = {name: _step(name, contents, 0) for name in contents.outputs}
    return {name: step for name, step in found.items() if step}


def _step(name: str, contents: onnx_weights.Contents, depth: int) -> float:
    node = contents.producers.get(name)
    if node is None:
        return 0.0
    operator, inputs = node.operator, node.inputs
    if operator in WHOLE:
        return 1.0
    if operator == "DequantizeLinear" and len(inputs) > 1:
        return _largest(inputs[1], contents)
    if operator in SELECTING and inputs and depth < 1000:
        return max(_step(one, contents, depth + 1) for one in (inputs if operator in _ALL_INPUTS else inputs[:1]))
    return 0.0


def _largest(scale: str, contents: onnx_weights.Contents) -> float:
    """The largest of the scales; 0 where they are computed."""
    weights = {weight.name: weight for weight in contents.weights}
    weight = weights.get(scale) or contents.constants.get(scale)
    if weight is None or weight.dtype == "bfloat16":
        return 0.0
    return float(np.abs(np.frombuffer(weight.data, dtype=np.dtype(weight.dtype).newbyteorder("<"))).max(initial=0.0))
