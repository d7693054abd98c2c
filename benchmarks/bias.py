"""The bias of isobench's latency: compared with a C loop over ONNX Runtime's C API, and with a bare Python loop.

All three use the same file, input, number of threads and heap policy, and run in random order, round after round. The
result is the median difference to the C loop of the same round, with a 95 % bootstrap interval over rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import common
import models
import numpy as np
import onnx

from isobench.supervisor.variables import STEADY_HEAP

SHAPES = {"tiny-mlp": (1, 64), "conv-net": (1, 3, 192, 192), "resnet": (1, 3, 224, 224)}
WIDTHS = (10, 12, 12, 12, 14, 20, 9)
HERE = Path(__file__).parent

PYTHON_LOOP = """
import sys, time, numpy, onnxruntime
model, data, threads, warmup, seconds, *shape = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
inputs = {session.get_inputs()[0].name: numpy.fromfile(data, dtype=numpy.float32).reshape([*map(int, shape)])}
for _ in range(int(warmup)):
    session.run(None, inputs)
samples, end = [], time.perf_counter() + float(seconds)
while time.perf_counter() < end:
    started = time.perf_counter_ns()
    session.run(None, inputs)
    samples.append(time.perf_counter_ns() - started)
samples.sort()
print(samples[len(samples) // 2] / 1e9)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="of each model (default: 15)")
    parser.add_argument("--seconds", type=float, default=1.0, help="to measure each of the three (default: 1)")
    parser.add_argument("--models", nargs="+", choices=list(SHAPES), default=list(SHAPES), metavar="MODEL")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the order in each round")
    options = parser.parse_args()
    generator = random.Random(options.seed)
    print(f"{options.rounds} rounds of {options.seconds:g} s each, {options.threads} threads; medians in microseconds")
    common.row("model", "C loop", "isobench", "Python loop", "isobench - C", "interval", "share", widths=WIDTHS)
    found = []
    with tempfile.TemporaryDirectory(prefix="isobench-bias-") as temporary:
        folder = Path(temporary)
        loops = Loops(folder, options)
        for name in options.models:
            ways = loops.of(models.save(name, folder), SHAPES[name])
            rounds: list[dict[str, float]] = []
            for _ in range(options.rounds):
                order = list(ways)
                generator.shuffle(order)
                taken = {way: ways[way]() for way in order}
                rounds.append(taken)
            added = [taken["isobench"] - taken["c"] for taken in rounds]
            low, high = common.median_interval(added, generator)
            medians = {way: statistics.median(taken[way] for taken in rounds) for way in ways}
            middle = statistics.median(added)
            common.row(
                name,
                *(f"{medians[way] * 1e6:,.2f}" for way in ("c", "isobench", "python")),
                f"{middle * 1e6:+.2f}",
                f"{low * 1e6:+.2f}..{high * 1e6:+.2f}",
                f"{middle / medians['c']:+.1%}",
                widths=WIDTHS,
            )
            found.append({"model": name, "rounds_s": rounds, "added_s": middle, "added_within_s": [low, high]})
    common.report("bias", {"threads": options.threads, "seconds": options.seconds, "models": found})


class Loops:
    """Three functions that measure a model: each returns the median seconds of one inference."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._folder = folder
        self._options = options
        self._python = common.environment_python("ort")
        [self._library] = self._python.parents[1].glob("lib/python*/site-packages/onnxruntime/capi/libonnxruntime.so.*")
        self._c = folder / "ort_loop"
        common.output([os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-o", self._c, HERE / "ort_loop.c", "-ldl"])

    def of(self, model: Path, shape: tuple[int, ...]) -> dict[str, Callable[[], float]]:
        options = self._options
        data = self._folder / "input.bin"
        np.random.default_rng(0).standard_normal(shape, dtype=np.float32).tofile(data)
        assert [d.dim_value for d in onnx.load(model).graph.input[0].type.tensor_type.shape.dim] == list(shape)
        common_arguments = [data, options.threads, 100, options.seconds, *shape]
        env = {**os.environ, **STEADY_HEAP}
        run = common.run_command(model, self._folder / "results", threads=options.threads, min_time_s=options.seconds)

        def c() -> float:
            return float(common.output([self._c, self._library, model, *common_arguments], env=env).split()[0])

        def python() -> float:
            return float(common.output([self._python, "-I", "-c", PYTHON_LOOP, model, *common_arguments], env=env))

        def isobench() -> float:
            [result] = json.loads(common.output(run))
            return float(result["outcome"]["latency"]["median_s"])

        return {"c": c, "isobench": isobench, "python": python}


if __name__ == "__main__":
    main()
