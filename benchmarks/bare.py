"""The script that one would write without isobench: `python bare.py MODEL OUTPUT THREADS` times an ONNX model."""

import json
import sys
import time

import numpy as np
import onnxruntime as ort

model, output, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = ort.SessionOptions()
options.intra_op_num_threads = threads
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
generator = np.random.default_rng(0)
inputs = {one.name: generator.random(one.shape, dtype=np.float32) for one in session.get_inputs()}

for _ in range(10):
    session.run(None, inputs)
latencies_s = []
for _ in range(100):
    started = time.perf_counter()
    session.run(None, inputs)
    latencies_s.append(time.perf_counter() - started)

with open(output, "w") as file:  # noqa: PTH123
    json.dump({"mean_latency_s": sum(latencies_s) / len(latencies_s), "latencies_s": latencies_s}, file)
