"""The baseline of isobench's `device` latency of torch-eager: CUDA events in a plain torch script.

`bare_gpu.py MODEL SECONDS` prints the median latency in seconds, the GPU and torch's version as JSON.
"""

import json
import os
import statistics
import sys
import time

os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the order of isobench's workers, so that it is the same GPU

import gpu_models
import torch

CHUNK = 50


def main(name: str, seconds: float) -> None:
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    model, data = gpu_models.MODELS[name]()
    model, data = model.eval().to("cuda"), data.to("cuda")
    stream = torch.cuda.current_stream()  # once, since each call takes as long as a small kernel's launch
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(CHUNK)]
    samples: list[float] = []
    with torch.inference_mode():
        for _ in range(CHUNK):
            model(data)
        torch.cuda.synchronize()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            model(data)
            for first, last in events:
                first.record(stream)
                model(data)
                last.record(stream)
            torch.cuda.synchronize()
            samples += [first.elapsed_time(last) / 1000 for first, last in events]
    found = {"median_s": statistics.median(samples), "samples": len(samples)}
    print(json.dumps({**found, "gpu": torch.cuda.get_device_name(0), "torch": torch.__version__}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
