"""False alarms and power of isobench's comparisons.

False alarms: a model is compared with a copy of itself, many times, on a quiet machine and beside a noisy neighbour.
Power: it is compared with a model that does some percent more of the same work (more layers of the same kind; the true
ratio is measured by the C loop, interleaved). For reference, the naive verdict from the same samples: a rank-sum test
(Mann-Whitney) of pooled iterations at 5 %.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import bias
import common
import models
import neighbour
import numpy as np

from isobench import api, results
from isobench.results import compare

WIDTHS = (12, 8, 8, 8, 8, 8, 10, 10, 9)
LAYERS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--same", type=int, default=200, help="comparisons of a model with itself (default: 200)")
    parser.add_argument("--slower", type=int, default=20, help="comparisons for each slowdown (default: 20)")
    parser.add_argument("--slowdowns", type=int, nargs="*", default=[2, 3, 5, 10], metavar="PERCENT")
    parser.add_argument("--processes", type=int, default=1, help="pairs of processes of A/A comparisons (default: 1)")
    parser.add_argument("--min-time", type=float, default=0.5, help="clean seconds of each of these (default: 0.5)")
    parser.add_argument("--only", choices=["quiet", "noisy", "power"])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    common.row(
        "slowdown", "noise", "faster", "slower", "same", "unknown", "outside 1", "naive", "s each", widths=WIDTHS
    )
    found = []
    with tempfile.TemporaryDirectory(prefix="isobench-comparisons-") as temporary:
        folder = Path(temporary)
        first = models.save_chain(LAYERS, folder)
        copy = folder / "copy.onnx"
        shutil.copy(first, copy)
        for noise in ("quiet", "noisy"):
            if options.only in {None, noise}:
                with neighbour.noise() if noise == "noisy" else nullcontext():
                    settings = {"processes": options.processes, "min_time_s": options.min_time, "max_time_s": 5.0}
                    taken = [
                        _compare(first, copy, seed, options.threads, settings, folder) for seed in range(options.same)
                    ]
                found.append(_evaluated("none", noise, taken))
        for percent in options.slowdowns if options.only in {None, "power"} else ():
            second = models.save_chain(LAYERS + percent * LAYERS // 100, folder)
            settings = {"processes": 3, "min_time_s": 1.0, "max_time_s": 20.0}
            taken = [_compare(first, second, seed, options.threads, settings, folder) for seed in range(options.slower)]
            found.append(
                _evaluated(f"{percent} %", "quiet", taken) | {"c_loop_ratio": _true_ratio(first, second, folder)}
            )
            print(f"  by the C loop: {found[-1]['c_loop_ratio'] - 1:+.1%}", flush=True)
    common.report("comparisons", {"threads": options.threads, "comparisons": found})


def _compare(
    first: Path, second: Path, seed: int, threads: int, settings: dict[str, Any], folder: Path
) -> dict[str, Any]:
    began = time.monotonic()
    plan = api.plan(
        [str(first), str(second)],
        runtimes=["ort"],
        threads=threads,
        seed=seed,
        interleaved=True,
        results=folder / "results",
        **settings,
    )
    both = list(api.measure(plan))
    comparison = compare.compare(*both)
    took_s = time.monotonic() - began
    pooled = [
        np.concatenate([np.asarray(run) for run in results.samples_ns(saved.result, saved.folder)]) for saved in both
    ]
    within = comparison.ratio.within
    shutil.rmtree(folder / "results")
    return {
        "verdict": comparison.verdict,
        "ratio": comparison.ratio.value,
        "outside": not within.low <= 1 <= within.high,
        "naive": rank_sum_p(*pooled) < 0.05,
        "took_s": took_s,
    }


def rank_sum_p(one: np.ndarray, other: np.ndarray) -> float:
    """Two-sided p of the rank-sum test by its normal approximation, which suffices for hundreds of samples."""
    both = np.concatenate([one, other])
    _, places, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    n, m = len(one), len(other)
    ties = (counts.astype(float) ** 3 - counts).sum() / ((n + m) * (n + m - 1))
    deviation = math.sqrt(n * m / 12 * (n + m + 1 - ties))
    z = (ranks[:n].sum() - n * (n + m + 1) / 2) / deviation
    return math.erfc(abs(z) / math.sqrt(2))


def _true_ratio(first: Path, second: Path, folder: Path, rounds: int = 15) -> float:
    """The second's time divided by the first's in the C loop: the median over rounds of both in random order."""
    loops = bias.Loops(folder, argparse.Namespace(threads=1, seconds=0.3))
    calls = [loops.of(model, models.CHAIN_SHAPE)["c"] for model in (first, second)]
    generator = random.Random(0)
    ratios = []
    for _ in range(rounds):
        taken: dict[int, float] = {}
        for place in generator.sample((0, 1), 2):
            taken[place] = calls[place]()
        ratios.append(taken[1] / taken[0])
    return statistics.median(ratios)


def _evaluated(slowdown: str, noise: str, taken: list[dict[str, Any]]) -> dict[str, Any]:
    count = {name: sum(one["verdict"] == name for one in taken) for name in ("faster", "slower", "same", "unknown")}
    shares = [count[name] / len(taken) for name in count]
    shares += [sum(one[name] for one in taken) / len(taken) for name in ("outside", "naive")]
    took_s = statistics.median(one["took_s"] for one in taken)
    common.row(slowdown, noise, *(f"{share:.1%}" for share in shares), f"{took_s:.1f}", widths=WIDTHS)
    return {"slowdown": slowdown, "noise": noise, "taken": taken}


if __name__ == "__main__":
    main()
