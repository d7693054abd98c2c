"""Reports what it sees: its arguments, its environment, what is on sys.path."""

import os
import sys

from harness import serve, stage


def _execute(output_dir, onnx_file, outputs_file, iterations):
    stage("looking round")
    print("printed by the worker")
    return {
        "arguments": [output_dir, onnx_file, outputs_file, iterations],
        "environment": dict(os.environ),
        "path": sys.path,
        "isolated": sys.flags.isolated,
        "stdin": sys.stdin.read(),
    }


if __name__ == "__main__":
    serve(_execute)
