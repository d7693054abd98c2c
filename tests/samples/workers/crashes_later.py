"""Measures well twice, then crashes."""

import ctypes

from harness import measure, serve

calls = 0


def call():
    global calls
    calls += 1
    if calls > 5:
        ctypes.string_at(0)
    return sum(range(20_000))


def _execute(output_dir, onnx_file, outputs_file, iterations):
    measure(call, outputs_file, iterations, outputs=lambda _: [], load_s=0.0)


if __name__ == "__main__":
    serve(_execute)
