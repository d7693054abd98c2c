"""What many results cost: `isobench list`, its filters, reports and comparisons in a folder of 100,000 results.

One model is measured once on ort. Its `result.json` is copied under other ids, models and runtimes until there are
N results. Each command is a process of its own: its wall-clock seconds, CPU seconds and peak memory. The first `list`
finds no index; the others find one. At the end, results are saved into a folder that is empty and into this one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import common
import models

from isobench import results
from isobench.results import Result

MODELS = 5
RUNTIMES = ("ort", "openvino", "torch-eager", "torch-compiled")
SAVED = 200
WIDTHS = (40, 8, 8, 9, 12)
MEASURE = """
import json, os, subprocess, sys, time
with open(sys.argv[1], "wb") as output:
    began = time.perf_counter()
    child = subprocess.Popen(sys.argv[2:], stdout=output, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    wall_s = time.perf_counter() - began
print(json.dumps([os.waitstatus_to_exitcode(status), wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
"""
"""Starts a command: its peak memory is at least that of the process that starts it, and this one's is small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one command took; `wall_s` is the median of several calls, the others are of the last."""

    name: str
    wall_s: float
    cpu_s: float
    memory_bytes: int
    output_bytes: int


def main() -> None:
    options = _options()
    generator = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="isobench-listing-", dir=options.folder) as temporary:
        folder = Path(temporary)
        sample = _sample(folder)
        many, few = folder / "many", folder / "few"
        _fill(many, sample, options.results, generator)
        _fill(few, sample, MODELS * len(RUNTIMES), generator)
        size_bytes = (sample / results.RESULT_FILE).stat().st_size
        print(f"{options.results:,} results of {size_bytes:,} bytes each; medians of 5 calls where one is short")
        common.row("command", "wall s", "CPU s", "memory MB", "output MB", widths=WIDTHS)
        costs = [_cost(name, words, folder, times) for name, words, times in _commands(many, few, options.whole)]
        saving = _saving_s(many, folder / "empty", results.load(str(sample)))
        alone_ms, beside_ms = saving["empty"] * 1e3, saving["many"] * 1e3
        print(f"saving a result: {beside_ms:.2f} ms beside {options.results:,}, {alone_ms:.2f} ms in an empty folder")
    given = {name: getattr(options, name) for name in ("results", "seed")}
    common.report("listing", given | {"costs": [asdict(cost) for cost in costs], "saving_s": saving})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=100_000, help="how many (default: 100,000; 1 to 3 GB)")
    parser.add_argument("--folder", type=Path, help="where they are written (default: the folder for temporary files)")
    parser.add_argument("--whole", action="store_true", help="all of them as JSON and as CSV, too: minutes")
    parser.add_argument("--seed", type=int, default=0, help="of the order of models and runtimes")
    return parser.parse_args()


def _sample(folder: Path) -> Path:
    """The folder of a real result."""
    model = models.save("tiny-mlp", folder)
    common.output([*common.run_command(model, folder / "one", threads=1, min_time_s=0.2)])
    [file] = results.files(folder / "one")
    return file.parent


def _fill(root: Path, sample: Path, count: int, generator: random.Random) -> None:
    """Copy the result `count` times; the newest copies, which comparisons use, have samples, too."""
    first = datetime(2026, 1, 1, tzinfo=UTC)
    root.mkdir()
    for number in range(count):
        model, runtime = f"net-{generator.randrange(MODELS)}", generator.choice(RUNTIMES)
        started = first + timedelta(seconds=20 * number)
        name = f"{started:%Y%m%dT%H%M%S}-{model}-{runtime}-{number % 65536:04x}"
        text = _template(sample, model, runtime, generator.choice(("clean", "clean", "noisy")))
        text = text.replace("NAME", name).replace("TIME", started.isoformat(timespec="milliseconds"))
        (root / name).mkdir()
        (root / name / results.RESULT_FILE).write_text(text, encoding="utf-8")
        if count - number <= 40 * MODELS * len(RUNTIMES):
            shutil.copytree(sample / "run-1", root / name / "run-1")


@cache
def _template(sample: Path, model: str, runtime: str, status: str) -> str:
    """A `result.json` as isobench writes it, with the id NAME, started at TIME."""
    value: dict[str, Any] = json.loads((sample / results.RESULT_FILE).read_bytes())
    value |= {"id": "NAME", "started_at": "TIME", "ended_at": "TIME"}
    value["model"]["name"] = model
    value["runtime"]["name"] = value["runtime"]["label"] = runtime
    value["outcome"]["verdict"]["status"] = status
    return json.dumps(value, indent=1) + "\n"


def _commands(many: Path, few: Path, whole: bool) -> list[tuple[str, list[str | Path], int]]:
    newest = max(one.name for one in many.iterdir())
    listing: list[str | Path] = ["list", "--from", many]
    found: list[tuple[str, list[str | Path], int]] = [
        ("list, no index", listing, 1),
        ("list", listing, 5),
        ("list --model 'net-1*' --runtime ort", [*listing, "--model", "net-1*", "--runtime", "ort"], 5),
        ("list --since DATE --status noisy", [*listing, "--since", "2026-01-02", "--status", "noisy"], 5),
        ("list --model NONE", [*listing, "--model", "none"], 5),
        ("list --json", [*listing, "--json"], 5),
        ("list --limit 0", [*listing, "--limit", "0"], 1),
        ("report --csv --limit 1000", ["report", "--csv", many, "--limit", "1000"], 1),
        ("show ID", ["show", newest[:-1], "--from", many], 5),
        (f"compare FEW MANY ({MODELS * len(RUNTIMES)} pairs)", ["compare", "--anyway", few, many], 1),
    ]
    if whole:
        found.append(("list --json --limit 0", [*listing, "--json", "--limit", "0"], 1))
        found.append(("report --csv", ["report", "--csv", many], 1))
    return found


def _cost(name: str, words: Sequence[str | Path], folder: Path, times: int) -> Cost:
    """The cost of a command, its output written to a file."""
    command, output = [common.isobench_command(), *map(str, words)], folder / "output"
    environment = os.environ | {"ISOBENCH_HOME": str(folder / "home")}
    walls_s = []
    for _ in range(times):
        measured = common.output([sys.executable, "-I", "-S", "-c", MEASURE, output, *command], env=environment)
        code, wall_s, cpu_s, memory_bytes = json.loads(measured)
        if code:
            sys.exit(f"{' '.join(command)} exited with {code}")
        walls_s.append(wall_s)
    cost = Cost(
        name=name,
        wall_s=statistics.median(walls_s),
        cpu_s=cpu_s,
        memory_bytes=memory_bytes,
        output_bytes=output.stat().st_size,
    )
    megabytes = [f"{size / 1e6:.{digits}f}" for size, digits in ((cost.memory_bytes, 0), (cost.output_bytes, 2))]
    common.row(name, f"{cost.wall_s:.2f}", f"{cost.cpu_s:.2f}", *megabytes, widths=WIDTHS)
    return cost


def _saving_s(many: Path, empty: Path, result: Result) -> dict[str, float]:
    """The median seconds to save a result, by turns in both folders."""
    found: dict[str, list[float]] = {"many": [], "empty": []}
    for number in range(SAVED):
        for name, root in (("many", many), ("empty", empty)):
            began = time.perf_counter()
            results.save(replace(result, id=f"20270101T000000-saved-{number:04}"), root=root)
            found[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in found.items()}


if __name__ == "__main__":
    main()
