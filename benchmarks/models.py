"""Three ONNX models with seeded random weights, from a few microseconds to some 20 ms per inference.

`tiny-mlp` is bound by the runtime's overhead, `conv-net` takes a few milliseconds, `resnet` has the size of ResNet-18.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class _Graph:
    """A chain of nodes with weights; each method adds one step and returns the name of its output."""

    def __init__(self, name: str, input_shape: tuple[int, ...], seed: int = 0) -> None:
        self.name = name
        self.input = helper.make_tensor_value_info("input", TensorProto.FLOAT, input_shape)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._generator = np.random.default_rng(seed)

    def linear(self, data: str, features_in: int, features_out: int) -> str:
        weight = self._weight((features_out, features_in), features_in)
        return self.node("Gemm", data, weight, self._weight((features_out,), features_in), transB=1)

    def conv(self, data: str, channels_in: int, channels_out: int, *, kernel: int = 3, stride: int = 1) -> str:
        inputs = channels_in * kernel * kernel
        weight = self._weight((channels_out, channels_in, kernel, kernel), inputs)
        pads = [kernel // 2] * 4
        bias = self._weight((channels_out,), inputs)
        return self.node("Conv", data, weight, bias, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads)

    def relu(self, data: str) -> str:
        return self.node("Relu", data)

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def model(self, output: str, output_shape: tuple[int, ...]) -> onnx.ModelProto:
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, output_shape)
        graph = helper.make_graph(self.nodes, self.name, [self.input], [result], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(model)
        return model

    def _weight(self, shape: tuple[int, ...], inputs: int) -> str:
        """Weights that preserve the scale of the values, however deep the chain."""
        name = f"weight_{len(self.weights)}"
        values = self._generator.standard_normal(shape, dtype=np.float32) * np.float32(inputs**-0.5)
        self.weights.append(numpy_helper.from_array(values, name))
        return name


def tiny_mlp() -> onnx.ModelProto:
    graph = _Graph("tiny-mlp", (1, 64))
    hidden = graph.relu(graph.linear("input", 64, 64))
    return graph.model(graph.linear(hidden, 64, 10), (1, 10))


def conv_net() -> onnx.ModelProto:
    graph = _Graph("conv-net", (1, 3, 192, 192))
    data = graph.relu(graph.conv("input", 3, 32, stride=2))
    channels = 32
    for wider in (64, 128, 128):
        data = graph.relu(graph.conv(data, channels, wider, stride=2 if wider != channels else 1))
        channels = wider
    data = graph.node("Flatten", graph.node("GlobalAveragePool", data))
    return graph.model(graph.linear(data, channels, 100), (1, 100))


CHAIN_SHAPE = (1, 16, 14, 14)


def chain(layers: int) -> onnx.ModelProto:
    """A chain of equal convolutions: 3 % more layers are 3 % more work."""
    graph = _Graph("chain", CHAIN_SHAPE)
    data = "input"
    for _ in range(layers):
        data = graph.relu(graph.conv(data, 16, 16))
    return graph.model(data, CHAIN_SHAPE)


def resnet() -> onnx.ModelProto:
    """ResNet-18's layers, batch normalisation folded into the convolutions."""
    graph = _Graph("resnet", (1, 3, 224, 224))
    data = graph.relu(graph.conv("input", 3, 64, kernel=7, stride=2))
    data = graph.node("MaxPool", data, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for wider in (64, 128, 256, 512):
        for block in range(2):
            stride = 2 if block == 0 and wider != 64 else 1
            inner = graph.relu(graph.conv(data, channels, wider, stride=stride))
            inner = graph.conv(inner, wider, wider)
            shortcut = data if channels == wider else graph.conv(data, channels, wider, kernel=1, stride=stride)
            data = graph.relu(graph.node("Add", inner, shortcut))
            channels = wider
    data = graph.node("Flatten", graph.node("GlobalAveragePool", data))
    return graph.model(graph.linear(data, channels, 1000), (1, 1000))


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {"tiny-mlp": tiny_mlp, "conv-net": conv_net, "resnet": resnet}


def save(name: str, folder: Path) -> Path:
    """Write the model of that name as `NAME.onnx` into a folder and return its path."""
    file = folder / f"{name}.onnx"
    onnx.save(MODELS[name](), file)
    return file


def save_chain(layers: int, folder: Path) -> Path:
    """Write a `chain` of this many layers as `chain-LAYERS.onnx` into a folder and return its path."""
    file = folder / f"chain-{layers}.onnx"
    onnx.save(chain(layers), file)
    return file
