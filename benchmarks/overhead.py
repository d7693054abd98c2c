"""The overhead of isobench: the command `isobench run -r ort MODEL` against a bare script that does the same work.

Both are whole processes, everything warm, with the same number of threads. They run in pairs, in random, seeded order
within each pair, so that a machine that drifts slows both; the median of the pairs' ratios is reported with a bootstrap
interval. `--control` compares the bare script with itself, which shows how far from 1 a ratio is by chance.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import common
import models

from isobench.system import devices

AIMS = {"tiny-mlp": 1.3, "conv-net": 1.2, "resnet": 1.05}
BARE = Path(__file__).with_name("bare.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The wall-clock seconds of each pair's two commands, and their ratio isobench/bare."""

    model: str
    aim: float
    isobench_s: tuple[float, ...]
    bare_s: tuple[float, ...]
    ratio: float
    ratio_low: float
    ratio_high: float
    added_s: float


def main() -> None:
    options = _options()
    isobench = [common.isobench_command()]
    python = common.environment_python("ort")
    generator = random.Random(options.seed)
    comparisons = []
    with tempfile.TemporaryDirectory(prefix="isobench-overhead-") as temporary:
        folder = Path(temporary)
        for name in options.models:
            model = models.save(name, folder)
            bare = [str(python), str(BARE), str(model), str(folder / "bare.json"), str(options.threads)]
            # The same work as the bare script's: 10 untimed iterations, 100 timed ones.
            work = ["--warmup", "10", "--iterations", "100", "--threads", str(options.threads)]
            settings = [*work, "--output", str(folder / "results")]
            command = bare if options.control else [*isobench, "run", "-r", "ort", *settings, str(model)]
            comparison = _compare(name, command, bare, options.pairs, generator)
            comparisons.append(comparison)
            print(_row(comparison), flush=True)
            shutil.rmtree(folder / "results", ignore_errors=True)
    given = {name: getattr(options, name) for name in ("control", "threads", "pairs", "seed")}
    common.report("overhead", given | {"comparisons": [asdict(comparison) for comparison in comparisons]})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15, help="counted pairs of each model (default: 15)")
    parser.add_argument("--models", nargs="+", choices=list(AIMS), default=list(AIMS), metavar="MODEL")
    parser.add_argument("--threads", type=int, default=devices.default_threads(), help="of both (default: all cores)")
    parser.add_argument("--seed", type=int, default=0, help="of the order within pairs")
    parser.add_argument("--control", action="store_true", help="compare the bare script with itself")
    options = parser.parse_args()
    print(f"{options.pairs} pairs, {options.threads} threads, medians of whole commands, 95 % intervals of the ratio")
    first = "bare" if options.control else "isobench"
    print(f"{'model':10} {'bare s':>8} {first + ' s':>11} {'added ms':>9} {'ratio':>7} {'interval':>15} {'aim':>6}")
    return options


def _compare(name: str, command: list[str], bare: list[str], pairs: int, generator: random.Random) -> Comparison:
    for warm_up in (bare, command):
        _seconds(warm_up)
    commands_s, bares_s = [], []
    for _ in range(pairs):
        if generator.random() < 0.5:
            commands_s.append(_seconds(command))
            bares_s.append(_seconds(bare))
        else:
            bares_s.append(_seconds(bare))
            commands_s.append(_seconds(command))
    ratios = [one / other for one, other in zip(commands_s, bares_s, strict=True)]
    low, high = common.median_interval(ratios, generator)
    return Comparison(
        model=name,
        aim=AIMS[name],
        isobench_s=tuple(commands_s),
        bare_s=tuple(bares_s),
        ratio=statistics.median(ratios),
        ratio_low=low,
        ratio_high=high,
        added_s=statistics.median(one - other for one, other in zip(commands_s, bares_s, strict=True)),
    )


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, env=os.environ)
    elapsed = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)} exited with {done.returncode}:\n{done.stderr.decode(errors='replace')}")
    return elapsed


def _row(comparison: Comparison) -> str:
    interval = f"{comparison.ratio_low:.3f}..{comparison.ratio_high:.3f}"
    return (
        f"{comparison.model:10} {statistics.median(comparison.bare_s):8.3f} "
        f"{statistics.median(comparison.isobench_s):11.3f} {comparison.added_s * 1e3:9.1f} "
        f"{comparison.ratio:7.3f} {interval:>15} {comparison.aim:6.2f}"
    )


if __name__ == "__main__":
    main()
