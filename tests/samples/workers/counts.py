"""The smallest worker that measures: no runtime, only arithmetic."""

from array import array

import protocol
from harness import measure, serve


def _execute(output_dir, onnx_file, outputs_file, iterations):
    def read_outputs(value):
        return [protocol.Tensor("sum", "int64", (), array("q", [value]).tobytes())]

    measure(lambda: sum(range(20_000)), outputs_file, iterations, outputs=read_outputs, load_s=0.5, facts={"a": 1})


if __name__ == "__main__":
    serve(_execute)
