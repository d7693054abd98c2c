"""Facts about a graph: a module in the worker's folder, which the worker imports like isobench's own."""

from __future__ import annotations

import onnx


def nodes(onnx_file: str) -> int:
    """The number of nodes that an inference executes."""
    return len(onnx.load(onnx_file, load_external_data=False).graph.node)
