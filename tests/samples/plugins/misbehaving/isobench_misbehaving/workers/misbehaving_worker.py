"""Measures a Relu of a product by numpy, unless `how` names a way to misbehave."""

import json
import os

import numpy as np
import protocol
from harness import measure, request, serve

import before  # noqa: F401
import events  # noqa: F401
import files  # noqa: F401
import late  # noqa: F401
import running  # noqa: F401
import tensors_ways  # noqa: F401
from ways import WAYS


def _execute(output_dir, onnx_file, outputs_file, iterations, *, how="well"):
    chosen = WAYS.get(how)

    def do(when, *arguments):
        return chosen.does(*arguments) if chosen and chosen.when == when else None

    do("before", output_dir)
    [given] = protocol.read_tensors(request()["model"]["inputs_file"])
    x = np.frombuffer(given.data, np.float32).reshape(given.shape)
    weight = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)
    calls = [0]

    def call():
        calls[0] += 1
        if calls[0] == 20:
            do("running", output_dir)
        return np.maximum(x @ weight, 0)

    def read(value):
        found = [protocol.Tensor("y", "float32", value.shape, value.tobytes())]
        do("tensors", found)
        return found

    facts = {"timing": "host"}
    do("facts", facts)
    measure(call, outputs_file, iterations, outputs=read, load_s=0.1, facts=facts, threads=1)
    with open(outputs_file) as file:
        outputs = json.load(file)
    do("late", outputs)
    if chosen and chosen.when == "late":
        with open(outputs_file, "w") as file:
            json.dump(outputs, file)
    do("after", output_dir)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    serve(_execute)
