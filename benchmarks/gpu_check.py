"""Every runtime on an NVIDIA GPU that this machine can have, on three models, through the real command line.

Outputs are compared with the CPU's, as in any run. The `device` latency of torch-eager is held against CUDA events by
hand in torch, taken before and after it: they may differ by 2 %, unless the host sets the pace (what is timed then is
Python, and torch's own events are slower to record). One table, and all figures in build/gpu-check.json.

Where nothing can be installed, `--adopt NAME=PYTHON` takes interpreters that are there, as `isobench env adopt` does:
for torch (which builds the models), torch-cuda, ort-cuda, tensorrt, tensorrt-rtx.
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
    parser.add_argument("--seconds", type=float, default=1.0, help="that each measures (default: 1)")
    options = parser.parse_args()
    isobench = common.isobench_command()
    listed = subprocess.run([isobench, "doctor", "--device", "nvidia"], capture_output=True, text=True, check=False)
    if not nvidia.present():
        sys.exit(f"{listed.stdout}{listed.stderr}\nno NVIDIA GPU can be measured on here; nothing was done")
    machine, date = os.uname().nodename, f"{datetime.now(UTC):%Y-%m-%d}"
    print(f"{machine}, {date}\n\n{listed.stdout}")
    for name, python in (text.split("=", 1) for text in options.adopt):
        common.output([isobench, "env", "adopt", name, python])
    missing = _missing(isobench, ["torch", *dict.fromkeys(RUNTIMES[runtime] for runtime in options.runtimes)])
    if "torch" in missing:
        sys.exit(f"the models can't be built: {missing['torch']}")
    able = [runtime for runtime in options.runtimes if RUNTIMES[runtime] not in missing]
    by_hand = "torch-cuda" not in missing
    common.row("model", "runtime", "device ms", "end to end ms", "outputs", "verdict", "by hand", widths=WIDTHS)
    rows: list[dict[str, Any]] = []
    for model in options.models:
        for runtime in able:
            hand = [_by_hand(model, options.seconds)] if by_hand and runtime == "torch-eager" else []
            found = _measured(isobench, model, runtime, options.seconds)
            hand += [_by_hand(model, options.seconds)] if hand else []
            found["by_hand_s"] = statistics.fmean(hand) if hand else None
            rows.append(found)
            _show(found)
    for runtime in options.runtimes:
        if runtime not in able:
            print(f"{runtime}: not here: {missing[RUNTIMES[runtime]]}")
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
        sys.exit("\n".join(failed) or "there was nothing to measure")


def _missing(isobench: str, names: list[str]) -> dict[str, str]:
    """The environments that can't be had, and why."""
    found = {}
    for name in names:
        print(f"looking for the environment {name}, or making it", file=sys.stderr, flush=True)
        done = subprocess.run([isobench, "env", "create", name], capture_output=True, text=True, check=False)
        if done.returncode:
            told = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason was told"]
            found[name] = next((line for line in told if "error" in line.lower()), told[-1])
    return found


def _by_hand(model: str, seconds: float) -> float:
    python = json.loads(common.output([common.isobench_command(), "env", "path", "torch-cuda", "--json"]))["python"]
    told = json.loads(common.output([python, HERE / "bare_gpu.py", model, str(seconds)]).splitlines()[-1])
    return float(told["median_s"])


def _measured(isobench: str, model: str, runtime: str, seconds: float) -> dict[str, Any]:
    """What one real run came to; `failed` says what is wrong with it, "" if nothing, `not_here` why it can't be."""
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
        return {**row, "failed": done.stderr.strip() or f"ended with {done.returncode}"}
    outcome = result["outcome"]
    if outcome["status"] != "measured" and outcome["kind"] == "UsageError":  # this GPU isn't one for this runtime
        return {**row, "not_here": outcome["message"]}
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
        why = f"not here: {row['not_here']}" if "not_here" in row else row["failed"]
        print(f"{row['model']:{WIDTHS[0]}}  {row['runtime']}: {why}", flush=True)
        return
    hand = ""
    if row["by_hand_s"] is not None:
        ratio = row["device_s"] / row["by_hand_s"]
        hand = f"{ratio:.3f}x"
        bound_by_host = row["summary"]["enqueue_s"] > ENQUEUE_SHARE * row["device_s"]
        if abs(ratio - 1) > TOLERANCE and not bound_by_host:
            row["failed"] = row["failed"] or f"the device latency is {hand} of what CUDA events by hand say"
    common.row(
        row["model"],
        row["runtime"],
        f"{row['device_s'] * 1000:.4f}",
        f"{row['end_to_end_s'] * 1000:.4f}",
        "correct" if row["correct"] else "WRONG",
        row["verdict"],
        hand,
        widths=WIDTHS,
    )
    for reason in row["reasons"]:
        print(f"    {reason}")


if __name__ == "__main__":
    main()
