"""Every available runtime on this machine's NVIDIA GPU, on three models, through the command line.

Outputs are compared with the CPU's, as in any run. The `device` latency of torch-eager is compared with CUDA events in
a plain torch script (`bare_gpu.py`), run before and after it: they may differ by 2 %, unless the measurement is bound
by the host (then Python is what is timed, and torch's own events are slower to record). The output is one table, and
all figures in build/gpu-check.json.

Where nothing can be installed, `--adopt NAME=PYTHON` uses existing interpreters, like `isobench env adopt`: for torch
(which builds the models), torch-cuda, ort-cuda, tensorrt, tensorrt-rtx.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import common

from isobench.analysis.gpu_noise import ENQUEUE_SHARE
from isobench.system import nvidia

HERE = Path(__file__).parent
MODELS = ("tiny", "conv", "transformer")
RUNTIMES = {
    "torch-eager": "torch-cuda",
    "torch-compiled": "torch-cuda",
    "ort": "ort-cuda",
    "trt": "tensorrt",
    "trt-rtx": "tensorrt-rtx",
}
TOLERANCE = 0.02
WIDTHS = (12, 15, 12, 14, 10, 9, 9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adopt", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="MODEL")
    parser.add_argument("--runtimes", nargs="+", choices=list(RUNTIMES), default=list(RUNTIMES), metavar="RUNTIME")
    parser.add_argument("--seconds", type=float, default=1.0, help="to measure each (default: 1)")
    options = parser.parse_args()
    isobench = common.isobench_command()
    listed = subprocess.run([isobench, "doctor", "--device", "nvidia"], capture_output=True, text=True, check=False)
    if not nvidia.present():
        sys.exit(f"{listed.stdout}{listed.stderr}\nno usable NVIDIA GPU: nothing was measured")
    machine, date = os.uname().nodename, f"{datetime.now(UTC):%Y-%m-%d}"
    print(f"{machine}, {date}\n\n{listed.stdout}")
    for name, python in (text.split("=", 1) for text in options.adopt):
        common.output([isobench, "env", "adopt", name, python])
    missing = _missing(isobench, ["torch", *dict.fromkeys(RUNTIMES[runtime] for runtime in options.runtimes)])
    if "torch" in missing:
        sys.exit(f"the models can't be built: {missing['torch']}")
    able = [runtime for runtime in options.runtimes if RUNTIMES[runtime] not in missing]
    has_bare = "torch-cuda" not in missing
    common.row("model", "runtime", "device ms", "end to end ms", "outputs", "verdict", "vs bare", widths=WIDTHS)
    rows: list[dict[str, Any]] = []
    for model in options.models:
        for runtime in able:
            bare_s = [_bare_s(model, options.seconds)] if has_bare and runtime == "torch-eager" else []
            found = _measured(isobench, model, runtime, options.seconds)
            bare_s += [_bare_s(model, options.seconds)] if bare_s else []
            found["bare_s"] = statistics.fmean(bare_s) if bare_s else None
            rows.append(found)
            _show(found)
    for runtime in options.runtimes:
        if runtime not in able:
            print(f"{runtime}: not available: {missing[RUNTIMES[runtime]]}")
    common.report(
        "gpu-check",
        {
            "machine": machine,
            "date": date,
            "gpu": next((row["gpu"] for row in rows if row["gpu"]), None),
            "rows": rows,
            "missing": missing,
        },
    )
    failed = [f"{row['model']} on {row['runtime']}: {row['failed']}" for row in rows if row["failed"]]
    if failed or not any("device_s" in row for row in rows):
        sys.exit("\n".join(failed) or "nothing was measured")


def _missing(isobench: str, names: list[str]) -> dict[str, str]:
    """The environments that can't be installed, and why."""
    found = {}
    for name in names:
        print(f"preparing the environment {name}", file=sys.stderr, flush=True)
        done = subprocess.run([isobench, "env", "create", name], capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()] or ["unknown reason"]
            found[name] = next((line for line in lines if "error" in line.lower()), lines[-1])
    return found


def _bare_s(model: str, seconds: float) -> float:
    """The median latency that the plain torch script measures."""
    python = json.loads(common.output([common.isobench_command(), "env", "path", "torch-cuda", "--json"]))["python"]
    found = json.loads(common.output([python, HERE / "bare_gpu.py", model, str(seconds)]).splitlines()[-1])
    return float(found["median_s"])


def _measured(isobench: str, model: str, runtime: str, seconds: float) -> dict[str, Any]:
    """The figures of one run; `failed` is what is wrong with it, "" if nothing; `not_available` why it can't run."""
    row: dict[str, Any] = {"model": model, "runtime": runtime, "failed": "", "gpu": None}
    with tempfile.TemporaryDirectory(prefix="isobench-gpu-check-") as folder:
        done = subprocess.run(
            [
                isobench,
                "run",
                "--device",
                "nvidia",
                "-r",
                runtime,
                "--min-time",
                str(seconds),
                "--json",
                "--output",
                folder,
                HERE / "gpu_models.py",
                "--script-args",
                model,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    try:
        [result] = json.loads(done.stdout)
    except ValueError:
        return {**row, "failed": done.stderr.strip() or f"exited with {done.returncode}"}
    outcome = result["outcome"]
    if outcome["status"] != "measured" and outcome["kind"] == "usage":  # the runtime doesn't support this GPU
        return {**row, "not_available": outcome["message"]}
    if outcome["status"] != "measured":
        return {**row, "failed": outcome["message"], "details": outcome["details"]}
    facts = outcome["facts"]
    return {
        **row,
        "failed": "" if outcome["correctness"]["ok"] else "; ".join(outcome["correctness"]["reasons"]),
        "gpu": facts.get("gpu"),
        "version": result["runtime"]["version"],
        "device_s": outcome["latency"]["median_s"],
        "end_to_end_s": outcome["end_to_end"]["median_s"],
        "summary": outcome["gpu"],
        "correct": outcome["correctness"]["ok"],
        "worst_relative": outcome["correctness"]["worst_relative"],
        "verdict": outcome["verdict"]["status"],
        "reasons": outcome["verdict"]["reasons"],
        "engines": facts.get("engines"),
    }


def _show(row: dict[str, Any]) -> None:
    if "device_s" not in row:
        why = f"not available: {row['not_available']}" if "not_available" in row else row["failed"]
        print(f"{row['model']:{WIDTHS[0]}}  {row['runtime']}: {why}", flush=True)
        return
    versus = ""
    if row["bare_s"] is not None:
        ratio = row["device_s"] / row["bare_s"]
        versus = f"{ratio:.3f}x"
        bound_by_host = row["summary"]["enqueue_s"] > ENQUEUE_SHARE * row["device_s"]
        if abs(ratio - 1) > TOLERANCE and not bound_by_host:
            row["failed"] = row["failed"] or f"the device latency is {versus} that of bare CUDA events"
    common.row(
        row["model"],
        row["runtime"],
        f"{row['device_s'] * 1000:.4f}",
        f"{row['end_to_end_s'] * 1000:.4f}",
        "correct" if row["correct"] else "WRONG",
        row["verdict"],
        versus,
        widths=WIDTHS,
    )
    for reason in row["reasons"]:
        print(f"    {reason}")


if __name__ == "__main__":
    main()
