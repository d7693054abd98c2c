"""Measures on a stand-in of a GPU, on the real clock: each inference takes 2 ms of it."""

import time

import gpu_timing
import protocol
from harness import measure, serve


class Cuda:
    done = 0

    def work(self, duration_ns=2_000_000):
        self.done = max(time.perf_counter_ns(), self.done) + duration_ns

    def event(self):
        return [0]

    def record(self, event, _stream):
        event[0] = max(time.perf_counter_ns(), self.done)

    def elapsed_ns(self, start, end):
        return end[0] - start[0]

    def synchronize(self, _stream):
        time.sleep(max(0, self.done - time.perf_counter_ns()) / 1e9)

    def synchronize_all(self):
        pass


class Monitor:
    def read(self):
        return time.perf_counter_ns()

    def between(self, before, after):
        return {"energy_j": (after - before) / 1e7, "clock_mhz": 1980, "power_w": 100.0, "slowed_s": 0.0}


def _execute(output_dir, onnx_file, outputs_file, iterations, **options):
    cuda = Cuda()
    inference = gpu_timing.Inference(
        cuda, 0, enqueue=cuda.work, copy_in=lambda: cuda.work(1_000_000), copy_out=lambda _: None, monitor=Monitor()
    )
    measure(
        inference,
        outputs_file,
        iterations,
        outputs=lambda _: [protocol.Tensor("output", "float32", (1,), b"\0\0\0\0")],
        load_s=0.1,
        facts={"gpu": {"name": "Stand-in", "driver": "1.0"}, **gpu_timing.CONTRACT},
        sample_source=inference.samples,
    )


if __name__ == "__main__":
    serve(_execute)
