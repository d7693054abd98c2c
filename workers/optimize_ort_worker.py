"""Writes an ONNX file as ONNX Runtime's optimisations leave it. Runs in the `ort` environment."""

from __future__ import annotations

import os
from typing import Any

import onnxruntime

from harness import Refused, serve

LEVELS = {
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
_LARGE_BYTES = 1 << 30
"""From here on weights go into a file beside: an ONNX file itself can't be larger than two of these."""


def _execute(
    onnx_file: str,
    output_dir: str,
    level: str = "basic",
    inputs_file: str = "",  # noqa: ARG001 - the call stays what it is
    expected_file: str = "",  # noqa: ARG001
) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.optimized_model_filepath = os.path.join(output_dir, "model.onnx")  # noqa: PTH118
    # Weights that lie beside the file would still be looked for beside the new one.
    if os.path.exists(f"{onnx_file}.data") or os.path.getsize(onnx_file) > _LARGE_BYTES:  # noqa: PTH110, PTH202
        for what, value in (("file_name", "model.onnx.data"), ("min_size_in_bytes", "1024")):
            options.add_session_config_entry(f"session.optimized_model_external_initializers_{what}", value)
    try:
        onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions have no common class of their own
        raise Refused("model-error", f"ONNX Runtime can't optimise the model: {error}") from None
    return {"onnxruntime": onnxruntime.__version__}


if __name__ == "__main__":
    serve(_execute)
