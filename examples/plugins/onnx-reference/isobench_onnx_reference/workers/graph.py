"""What the worker wants to know of a graph: a module beside it, which it imports like isobench's own."""

from __future__ import annotations

import onnx


def nodes(onnx_file: str) -> int:
    """How many nodes a run goes through."""
    return len(onnx.load(onnx_file, load_external_data=False).graph.node)
