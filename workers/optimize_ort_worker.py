"""Writes an ONNX file as optimized by ONNX Runtime. Runs in the `onnx` environment, which has both."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import onnx
import onnxruntime

import causes
import ort_custom_ops
from harness import Refused, serve

LEVELS = {
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
_LARGE_BYTES = 1 << 30
"""Larger models get a second file for their weights: an ONNX file can't be larger than 2 GiB."""


def _execute(
    onnx_file: str,
    output_dir: str,
    level: str = "basic",
    inputs_file: str = "",  # noqa: ARG001 - inputs and outputs stay as they are
    expected_file: str = "",  # noqa: ARG001
    custom_op_library: str = "",
    custom_op_library_sha256: str = "",  # noqa: ARG001 - another library is another request
) -> dict[str, Any]:
    written = os.path.join(output_dir, "model.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.optimized_model_filepath = written
    # External weights would be searched beside the new file, so they are written there.
    if _has_external_data(onnx_file) or os.path.getsize(onnx_file) > _LARGE_BYTES:
        for what, value in (("file_name", "model.onnx.data"), ("min_size_in_bytes", "1024")):
            options.add_session_config_entry(f"session.optimized_model_external_initializers_{what}", value)
    ort_custom_ops.register(options, custom_op_library)
    try:
        onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        ort_custom_ops.check_known(error, custom_op_library)
        if causes.lacks(error):
            raise
        kind, lacking = causes.of_model(str(error))
        raise Refused(kind, f"ONNX Runtime can't optimize the model: {error}", cause=lacking) from None
    _rename_new(onnx_file, written)
    return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}


def _has_external_data(file: str) -> bool:
    """Are there weights in other files, whatever their names?"""
    model = onnx.load(file, load_external_data=False)
    tensors = [*_tensors(model.graph), *_constants(node for function in model.functions for node in function.node)]
    return any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from _constants(graph.node)


def _constants(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        yield from (attribute.t for attribute in node.attribute if attribute.HasField("t"))
        for inner in _subgraphs(node):
            yield from _tensors(inner)


def _rename_new(before: str, after: str) -> None:
    """Give unique names to the weights that the optimizer has created.

    It names some after a node without checking that the name is free: optimized again, as a runtime does when it loads
    the file, the model would have the same name twice, and ONNX Runtime would refuse it.
    """
    known = set(_names(onnx.load(before, load_external_data=False).graph))
    model = onnx.load(after, load_external_data=False)
    taken = known | set(_names(model.graph))
    renamed = {}
    for weight in model.graph.initializer:
        if weight.name not in known:
            number = 1
            while (name := f"{weight.name}.optimized.{number}") in taken:
                number += 1
            taken.add(name)
            renamed[weight.name] = weight.name = name
    _rename(model.graph, renamed)
    onnx.save(model, after)


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    """Every value's name in a graph."""
    for weight in graph.initializer:
        yield weight.name
    for node in graph.node:
        yield from (*node.input, *node.output)
        for inner in _subgraphs(node):
            yield from _names(inner)


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        for inner in _subgraphs(node):
            _rename(inner, names)
    for value in graph.value_info:
        value.name = names.get(value.name, value.name)


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


if __name__ == "__main__":
    serve(_execute)
