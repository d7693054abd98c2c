"""The overhead of isobench on rattler and uv: lock, create (with empty and with full caches), create without changes.

Both are whole processes that use a channel made from this machine's Python, served on loopback. They run in pairs, in
random, seeded order within each pair; the median of the pairs' ratios is reported with a bootstrap interval. With empty
caches, uv downloads packages from the configured index, so that row includes the network.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import common

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tools"))

import conda_world
import local_channel
import loopback

ENVS = Path(__file__).parents[1] / "envs"
BARE = Path(__file__).with_name("bare_conda.py")
WIDTHS = (14, 9, 11, 7, 15)


class Bench:
    """A folder with its own specs and caches, and a new home or prefix for each creation."""

    def __init__(self, root: Path, channel: str) -> None:
        self.root, self.channel = root, channel
        self.envs = root / "envs"
        shutil.copytree(ENVS / "ort", self.envs / "ort", ignore=shutil.ignore_patterns("*.yml"))
        self.spec = self.envs / "ort"
        text = conda_world.environment_yml(channel, name="ort")
        (self.spec / "environment.yml").write_text(text)
        self.count = 0

    def isobench(self, *arguments: str, home: Path, caches: Path) -> float:
        """Seconds of one `isobench env` command."""
        variables = {"ISOBENCH_HOME": home, "ISOBENCH_ENVS": self.envs, **_caches(caches)}
        return _seconds([common.isobench_command(), "env", *arguments], variables)

    def bare(self, what: str, requirements: str, *, prefix: Path, caches: Path) -> float:
        """Seconds of rattler and uv, called directly."""
        uv = Path(sys.executable).with_name("uv")
        arguments = [self.channel, local_channel.MINOR, prefix, self.spec / requirements, uv]
        return _seconds([sys.executable, BARE, what, *arguments], _caches(caches))

    def new(self) -> Path:
        """A new, unused path."""
        self.count += 1
        return self.root / f"new-{self.count}"


def main() -> None:
    options = _options()
    generator = random.Random(options.seed)
    rows = {}
    common.row("", "bare s", "isobench s", "ratio", "interval", widths=WIDTHS)
    with tempfile.TemporaryDirectory(prefix="isobench-conda-") as folder:
        root = Path(folder)
        conda_world.write_channel(root / "channel", root / "staging")
        with loopback.serving(root / "channel") as server:
            for name, pair in _pairs(Bench(root, server.url("none"))).items():
                rows[name] = _compare(name, pair, options.pairs, generator)
    common.report("conda", {"pairs": options.pairs, "seed": options.seed, "rows": rows})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the order within pairs")
    return parser.parse_args()


def _pairs(bench: Bench) -> dict[str, tuple]:
    full = bench.root / "full"
    ready, installed = bench.root / "ready", bench.root / "installed"
    create = ("create", "ort", "--provider", "conda")

    def lock() -> float:
        (bench.spec / "conda-lock.yml").unlink(missing_ok=True)
        return bench.isobench("lock", "ort", home=bench.new(), caches=full)

    lock()
    bench.isobench(*create, home=ready, caches=full)
    bench.bare("create", "requirements.txt", prefix=installed, caches=full)
    return {
        "lock": (lock, lambda: bench.bare("lock", "requirements.in", prefix=bench.new(), caches=full)),
        "create, cold": (
            lambda: bench.isobench(*create, home=bench.new(), caches=bench.new()),
            lambda: bench.bare("create", "requirements.txt", prefix=bench.new(), caches=bench.new()),
        ),
        "create, warm": (
            lambda: bench.isobench(*create, home=bench.new(), caches=full),
            lambda: bench.bare("create", "requirements.txt", prefix=bench.new(), caches=full),
        ),
        "create, no-op": (
            lambda: bench.isobench(*create, home=ready, caches=full),
            lambda: bench.bare("create", "requirements.txt", prefix=installed, caches=full),
        ),
    }


def _compare(name: str, pair: tuple, pairs: int, generator: random.Random) -> dict[str, object]:
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(pairs):
        for which in generator.sample((0, 1), 2):
            seconds[which].append(pair[which]())
    isobench_s, bare_s = seconds
    ratios = [one / other for one, other in zip(isobench_s, bare_s, strict=True)]
    low, high = common.median_interval(ratios, generator)
    common.row(
        name,
        f"{statistics.median(bare_s):.2f}",
        f"{statistics.median(isobench_s):.2f}",
        f"{statistics.median(ratios):.2f}",
        f"{low:.2f}..{high:.2f}",
        widths=WIDTHS,
    )
    return {"isobench_s": isobench_s, "bare_s": bare_s, "ratio": statistics.median(ratios), "low": low, "high": high}


def _caches(folder: Path) -> dict[str, Path]:
    return {"RATTLER_CACHE_DIR": folder / "rattler", "UV_CACHE_DIR": folder / "uv"}


def _seconds(command: list[object], variables: dict[str, Path]) -> float:
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    started = time.perf_counter()
    common.output([str(part) for part in command], env=environment)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
