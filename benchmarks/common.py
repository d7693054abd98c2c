"""Shared by the benchmarks: the isobench command and its environments, tables, intervals and reports."""

from __future__ import annotations

import json
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BUILD = Path("build")


def isobench_command() -> str:
    """The isobench command beside this interpreter, or else the one on the PATH."""
    beside = Path(sys.executable).with_name("isobench")
    found = str(beside) if beside.exists() else shutil.which("isobench")
    if found is None:
        sys.exit("no isobench command beside this Python or on the PATH: run `make bench`")
    return found


def run_command(model: Path, results: Path, *, threads: int, min_time_s: float) -> list[str | Path]:
    """The command that measures a model on ort and prints the Result as JSON."""
    measuring = ["--threads", str(threads), "--min-time", str(min_time_s)]
    return [isobench_command(), "run", "-r", "ort", "--json", *measuring, "--output", results, model]


def environment_python(name: str) -> Path:
    """The interpreter of isobench's workers in the environment of that name."""
    path = Path(output([isobench_command(), "env", "path", name]).strip())
    return path / "bin" / "python" if path.is_dir() else path


def output(command: Sequence[str | Path], **options: Any) -> str:
    """A command's standard output; if it fails, the benchmark exits with its output."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def median_interval(values: Sequence[float], generator: random.Random) -> tuple[float, float]:
    """A 95 % percentile bootstrap interval of the median; the values (rounds, pairs) are resampled."""
    medians = sorted(statistics.median(generator.choices(values, k=len(values))) for _ in range(4000))
    return medians[100], medians[-101]


def spread(values: Sequence[float]) -> float:
    """The relative standard deviation."""
    return statistics.stdev(values) / statistics.fmean(values)


def row(*cells: object, widths: Sequence[int]) -> None:
    """Print one line of a table, unbuffered: the next may take minutes."""
    first, *rest = (str(cell) for cell in cells)
    line = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
    print("  ".join(line), flush=True)


def report(name: str, value: dict[str, Any]) -> None:
    """Write all figures to build/NAME.json."""
    BUILD.mkdir(exist_ok=True)
    file = BUILD / f"{name}.json"
    file.write_text(json.dumps({"schema": f"isobench.benchmark-{name}/1", **value}, indent=1) + "\n")
    print(f"written to {file}")
