"""The expected outputs of an `.onnx` file: ONNX Runtime without optimizations, one thread. Runs in `ort`."""

from __future__ import annotations

from typing import Any

import onnxruntime

import ort_custom_ops
import ort_session
import protocol
from harness import Refused, serve
from protocol import FailureKind


def _execute(onnx_file: str, inputs_file: str, expected_file: str, custom_op_library: str = "") -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    ort_custom_ops.register(options, custom_op_library)
    given = {tensor.name: tensor for tensor in protocol.read_tensors(inputs_file)}
    try:
        session = onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
        expected = ort_session.evaluate(session, ort_session.values(session, given))
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions have no common class of their own
        ort_custom_ops.check_known(error, custom_op_library)
        hint = "The expected outputs are computed with ONNX Runtime, so it must support every operator of the file."
        raise Refused(FailureKind.MODEL_ERROR, f"ONNX Runtime can't run the model: {error}", hint) from None
    protocol.write_tensors(expected_file, expected)
    return {"onnxruntime": onnxruntime.__version__}


if __name__ == "__main__":
    serve(_execute)
