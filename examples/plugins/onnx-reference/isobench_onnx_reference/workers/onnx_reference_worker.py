"""Runs in the `onnx-reference` environment, where neither isobench nor this package is installed.

`harness`, `protocol` and `tensors` are isobench's; `graph` is in this folder.
"""

from __future__ import annotations

import time
from typing import Any

import graph
import onnx
from onnx.reference import ReferenceEvaluator

import protocol
import tensors
from harness import measure, request, serve


def _execute(
    output_dir: str, onnx_file: str, outputs_file: str, iterations: int, *, check_shapes: bool = False
) -> None:
    model = request()["model"]
    started = time.perf_counter()
    evaluator = ReferenceEvaluator(onnx_file, check_shape_annotations=check_shapes)
    load_s = time.perf_counter() - started
    given = {tensor.name: tensors.to_array(tensor) for tensor in protocol.read_tensors(model["inputs_file"])}
    inputs = {entry["name"]: given[entry["source"]] for entry in model["onnx_inputs"]}
    names = [entry["name"] for entry in model["onnx_outputs"]]
    sources = [entry["source"] for entry in model["onnx_outputs"]]

    def read(values: Any) -> list[protocol.Tensor]:
        return [tensors.from_array(source, value) for source, value in zip(sources, values, strict=True)]

    measure(
        lambda: evaluator.run(names, inputs),
        outputs_file,
        iterations,
        outputs=read,
        load_s=load_s,
        facts={
            "onnx": onnx.__version__,
            "nodes": graph.nodes(onnx_file),
            "timing": "host",
            "timed": "one run of the evaluator; inputs and outputs are numpy arrays",
        },
    )


if __name__ == "__main__":
    serve(_execute)
