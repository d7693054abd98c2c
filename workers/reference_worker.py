"""The expected outputs of an `.onnx` file: ONNX Runtime without optimizations, one thread. Runs in `ort`.

With `evaluations_dir` it evaluates the model again, as it is and with perturbed weights and inputs (see `rounding`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import onnxruntime

import causes
import competing
import onnx_weights
import ort_custom_ops
import ort_format
import ort_session
import protocol
import quantisation
import rounding
import tensors
from harness import Refused, request, serve, stage
from protocol import Ending, Phase


def _execute(
    onnx_file: str, inputs_file: str, expected_file: str, evaluations_dir: str = "", custom_op_library: str = ""
) -> dict[str, Any]:
    inputs = {tensor.name: tensor for tensor in protocol.read_tensors(inputs_file)}
    model = _Model(onnx_file, custom_op_library)
    try:
        session = model.session(threads=1)
    except Refused:
        raise
    except Exception as error:
        ort_custom_ops.check_known(error, custom_op_library)
        if causes.lacks(error):
            raise
        kind, lacking = causes.of_model(str(error))
        hint = "The expected outputs are computed with ONNX Runtime, so it must support every operator of the file."
        raise Refused(kind, f"ONNX Runtime can't load the model: {error}", hint, cause=lacking) from None
    stage(Phase.COMPUTING_EXPECTED)  # the host takes a failure from here on for one of the inputs' values
    try:
        expected = _run(session, inputs)
        repeated = _run(session, inputs) if evaluations_dir else []
    except Exception as error:
        if causes.lacks(error):
            raise
        message = f"ONNX Runtime can't run the model with these inputs: {error}"
        raise Refused(Ending.MODEL_ERROR, message, "Check the inputs' values and sizes.") from None
    protocol.write_tensors(expected_file, expected)
    made: dict[str, Any] = {"onnxruntime": onnxruntime.__version__}
    if evaluations_dir:
        del session  # its weights, before others are loaded
        made["rounding"] = _evaluated(model, inputs, repeated, evaluations_dir)
    return made


class _Model:
    """An ONNX file with the library of its custom operators, if it needs one."""

    def __init__(self, onnx_file: str, custom_op_library: str) -> None:
        self.onnx_file, self.custom_op_library = onnx_file, custom_op_library

    def session(
        self, *, threads: int, weights: Mapping[str, onnxruntime.OrtValue] | None = None, content: bytes = b""
    ) -> onnxruntime.InferenceSession:
        """A session without optimizations, with other values of the `weights` that are given.

        `content` takes the place of the file's own; its external data lies where it was.
        """
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        ort_custom_ops.register(options, self.custom_op_library)
        ort_format.accept(options, self.onnx_file)
        for name, value in (weights or {}).items():
            options.add_initializer(name, value)
        if content:
            folder = os.path.dirname(os.path.abspath(self.onnx_file))
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        return onnxruntime.InferenceSession(content or self.onnx_file, options, providers=["CPUExecutionProvider"])


def _run(session: onnxruntime.InferenceSession, inputs: Mapping[str, protocol.Tensor]) -> list[protocol.Tensor]:
    return ort_session.evaluate(session, ort_session.values(session, inputs))


def _contents(onnx_file: str) -> onnx_weights.Contents:
    """What the file says of its weights; nothing where it has another format, such as ONNX Runtime's own."""
    try:
        return onnx_weights.read(onnx_file)
    except (ValueError, LookupError, OSError):
        return onnx_weights.Contents.none()


def _competing(
    model: _Model,
    contents: onnx_weights.Contents,
    inputs: Mapping[str, protocol.Tensor],
    known: Mapping[str, protocol.Tensor],
) -> list[protocol.Tensor]:
    """The values that compete for the indices among the outputs; none where they can't be computed."""

    def run(content: bytes) -> list[protocol.Tensor]:
        return _run(model.session(threads=1, content=content), inputs)

    try:
        return competing.values(model.onnx_file, competing.choices(contents), known, run)
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions have no common class of their own
        print(f"the values that compete for indices can't be computed: {error}")  # noqa: T201 - for the log
        return []


def _evaluated(
    model: _Model, inputs: Mapping[str, protocol.Tensor], repeated: list[protocol.Tensor], folder: str
) -> dict[str, Any]:
    """The evaluations that show the spread of rounding, in `folder`, and the arithmetic that they perturb."""
    stage(Phase.COMPUTING_EXPECTED, "with perturbed weights")
    repeat_file = os.path.join(folder, "repeat.msgpack")
    protocol.write_tensors(repeat_file, repeated)
    contents = _contents(model.onnx_file)
    arithmetic = rounding.narrowest(contents.computed() | {tensor.dtype for tensor in inputs.values()})
    # A type that only saves space is exact.
    exact = {name for name, bits in rounding.MANTISSA_BITS.items() if bits < rounding.MANTISSA_BITS[arithmetic]}
    floats = [weight for weight in contents.weights if weight.dtype not in exact]
    chosen = rounding.chosen([(weight.name, len(weight.data)) for weight in floats])
    moved = [weight for weight in floats if weight.name in chosen]

    def compute(perturb: rounding.Perturb) -> list[protocol.Tensor]:
        def changed(name: str, dtype: str, shape: tuple[int, ...], data: Any) -> protocol.Tensor:
            return protocol.Tensor(name, dtype, shape, perturb(data, dtype))

        values = {weight.name: tensors.to_ortvalue(changed(*weight)) for weight in moved}
        session = model.session(threads=request().get("threads") or 1, weights=values)
        return _run(session, {name: changed(*tensor) for name, tensor in inputs.items()})

    unit = "int8" if quantisation.quantised(contents) else arithmetic
    known = {**inputs, **{tensor.name: tensor for tensor in repeated}}
    competing_file = os.path.join(folder, "competing.msgpack")
    protocol.write_tensors(competing_file, _competing(model, contents, inputs, known))
    return {
        "competing": competing_file,
        "arithmetic": unit,
        "steps": quantisation.steps(contents),
        "repeat": repeat_file,
        "evaluations": rounding.evaluate(compute, folder, request().get("seed") or 0, unit),
    }


if __name__ == "__main__":
    serve(_execute)
