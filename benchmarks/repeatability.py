"""Repeatability: the spread of identical runs of isobench, on a quiet machine and beside a noisy neighbour.

For each model, the relative standard deviation of what isobench reports, disturbed blocks set aside; of the median of
all blocks; and of the naive figure, the mean of the first 100 iterations. All three are of the same runs. Coverage is
the share of the runs' 95 % intervals that contain the median of all quiet runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import common
import models
import neighbour

from isobench import results
from isobench.results import Measured

WIDTHS = (10, 8, 10, 10, 10, 10, 12, 10, 9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="of each model, with and without noise (default: 20)")
    parser.add_argument("--models", nargs="+", choices=list(models.MODELS), default=list(models.MODELS))
    parser.add_argument("--only", choices=["quiet", "noisy"], help="only without, or only with noise")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--min-time", type=float, default=1.0, help="clean seconds of each run (default: 1)")
    options = parser.parse_args()
    print(f"{options.runs} runs each, {options.threads} threads, at least {options.min_time:g} clean seconds per run")
    common.row(
        "model", "noise", "median ms", "isobench", "all", "naive", "coverage", "s per run", "clean", widths=WIDTHS
    )
    found = []
    with tempfile.TemporaryDirectory(prefix="isobench-repeatability-") as temporary:
        files = {name: models.save(name, Path(temporary)) for name in options.models}
        truth: dict[str, float] = {}
        for noise in [options.only] if options.only else ["quiet", "noisy"]:
            with neighbour.noise() if noise == "noisy" else nullcontext():
                for name, file in files.items():
                    runs = [_run(file, Path(temporary) / "results", options) for _ in range(options.runs)]
                    truth.setdefault(name, statistics.median(run["median_s"] for run in runs))
                    found.append(_evaluated(name, noise, runs, truth[name]))
    common.report("repeatability", {"threads": options.threads, "min_time_s": options.min_time, "models": found})


def _run(model: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    command = common.run_command(model, folder, threads=options.threads, min_time_s=options.min_time)
    began = time.monotonic()
    [printed] = json.loads(common.output(command))
    took_s = time.monotonic() - began
    result = results.load(printed["id"], root=folder)
    outcome = result.outcome
    assert isinstance(outcome, Measured)
    [samples] = results.samples_ns(result, folder / result.id)
    group = outcome.runs[0].group
    interval = outcome.intervals["median_s"]
    return {
        "median_s": outcome.latency.median_s,
        "median_all_s": outcome.latency_all.median_s,
        "naive_s": statistics.fmean(samples[: 100 // group or 1]) / group / 1e9,
        "low_s": interval.low,
        "high_s": interval.high,
        "took_s": took_s,
        "verdict": outcome.verdict.status,
    }


def _evaluated(name: str, noise: str, runs: list[dict[str, Any]], truth: float) -> dict[str, Any]:
    figures = {key: common.spread([run[key] for run in runs]) for key in ("median_s", "median_all_s", "naive_s")}
    covered = sum(run["low_s"] <= truth <= run["high_s"] for run in runs)
    clean = sum(run["verdict"] == "clean" for run in runs)
    took = statistics.median(run["took_s"] for run in runs)
    middle = statistics.median(run["median_s"] for run in runs)
    common.row(
        name,
        noise,
        f"{middle * 1e3:.4g}",
        *(f"{figure:.1%}" for figure in figures.values()),
        f"{covered} of {len(runs)}",
        f"{took:.1f}",
        f"{clean}",
        widths=WIDTHS,
    )
    return {"model": name, "noise": noise, "truth_s": truth, "spread": figures, "covered": covered, "runs": runs}


if __name__ == "__main__":
    main()
