"""Is right called right, and wrong wrong? 50 deep networks of ten kinds, by each runtime and in fewer bits.

Each network is built as isobench builds a script's model: expected outputs by torch-eager, evaluations with perturbed
weights and inputs, an export to ONNX. Then ort, openvino, torch-eager and torch-compiled compute it in their own
environments, and torch computes it again with the operands of each matrix product and convolution rounded to bfloat16,
TF32 and float16 (the least that such arithmetic does; sums stay in float32). The outputs are compared as those of a
measurement are.

A runtime's outputs that are called wrong are false alarms; outputs in fewer bits that are called correct are misses.
Networks whose outputs can't be judged are counted apart; more are generated until there are enough that can.

    make bench BENCH=deep_networks
    .venv/bin/python benchmarks/deep_networks.py --networks 50
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import time
from collections import Counter, defaultdict
from pathlib import Path

from common import BUILD, environment_python, isobench_command, output, report, row

from isobench import paths
from isobench.analysis import correctness
from isobench.analysis.spread import Evaluation, spreads
from isobench.workers import protocol

ENVIRONMENTS = ("torch", "ort", "openvino")
RUNTIMES = ("ort", "openvino", "torch-eager", "torch-compiled")
FEWER_BITS = ("bfloat16", "tf32", "float16")
WIDTHS = (26, *[14] * (len(RUNTIMES) + len(FEWER_BITS)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=50, help="networks that can be judged")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    folder = BUILD / "deep-networks"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    output([isobench_command(), "env", "create", *ENVIRONMENTS])
    started = time.monotonic()
    judged: list[dict[str, object]] = []
    unjudged: list[dict[str, object]] = []
    first = 0
    while len(judged) < options.networks:
        count = options.networks - len(judged)
        _compute(folder, first, count, options.threads)
        for number in range(first, first + count):
            found = _judge(folder / str(number))
            (unjudged if "unjudged" in found["outcomes"].values() else judged).append(found)
        first += count
    judged = judged[: options.networks]
    _print(judged, unjudged)
    seconds = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime
    print(f"\n{len(judged)} networks judged, {len(unjudged)} could not be; {seconds:.0f} s, {cpu_s:.0f} s of CPU time")
    report("deep-networks", {"seconds": seconds, "cpu_s": cpu_s, "judged": judged, "unjudged": unjudged})


def _compute(folder: Path, first: int, count: int, threads: int) -> None:
    """Have each environment compute networks `first` to `first + count`."""
    worker = Path(__file__).with_name("deep_networks_worker.py")
    for environment in ENVIRONMENTS:
        print(f"networks {first} to {first + count - 1} in {environment}", flush=True)
        with (folder / f"{environment}-{first}.log").open("w") as log:
            subprocess.run(
                [
                    environment_python(environment),
                    "-B",
                    worker,
                    environment,
                    paths.WORKERS,
                    folder,
                    str(first),
                    str(count),
                ],
                env={
                    **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                    "OMP_NUM_THREADS": str(threads),
                    "ORT_DISABLE_TELEMETRY": "1",
                    "CI": "true",
                },
                check=True,
                stdout=log,
                stderr=log,
            )


def _judge(folder: Path) -> dict[str, object]:
    """The outcome of each runtime and of each narrower arithmetic for one network."""
    about = json.loads((folder / "network.json").read_text())
    expected = protocol.read_tensors(folder / "expected.msgpack")
    evaluations = [
        Evaluation(ulps=entry["ulps"], outputs=protocol.read_tensors(entry["file"]))
        for entry in about["rounding"]["evaluations"]
    ]
    repeated = protocol.read_tensors(about["rounding"]["repeat"])
    found, unstable = spreads(expected, repeated, evaluations, arithmetic=about["rounding"]["arithmetic"])
    wanted = correctness.Expected.of(expected, found, unstable)
    compared = {
        name: correctness.compare(wanted, protocol.read_tensors(folder / f"{name}.msgpack"))
        for name in (*RUNTIMES, *FEWER_BITS)
    }
    return {
        "kind": about["kind"],
        "network": about["network"],
        "amplification": found[0].amplification,
        "tolerance": compared["ort"].tensors[0].tolerance,
        "outcomes": {name: str(one.outcome) for name, one in compared.items()},
        "worst_of_tolerance": {name: _margin(one) for name, one in compared.items()},
    }


def _margin(compared: correctness.Correctness) -> float | None:
    """The worst difference in tolerances, of an element that is small beside the largest one."""
    [tensor] = compared.tensors
    return None if tensor.worst_relative is None else tensor.worst_relative / tensor.tolerance


def _print(judged: list[dict[str, object]], unjudged: list[dict[str, object]]) -> None:
    """A line for each kind: how often each runtime is called wrong, and how often fewer bits are."""
    row("kind", *RUNTIMES, *FEWER_BITS, widths=WIDTHS)
    kinds: dict[str, list[dict[str, object]]] = defaultdict(list)
    for one in judged:
        kinds[str(one["kind"])].append(one)
    for kind, networks in (*sorted(kinds.items()), ("all", judged)):
        wrong = Counter(name for one in networks for name, outcome in one["outcomes"].items() if outcome == "wrong")
        row(kind, *(f"{wrong[name]} of {len(networks)}" for name in (*RUNTIMES, *FEWER_BITS)), widths=WIDTHS)
    for one in unjudged:
        print(f"unjudged: {one['kind']} {one['network']}, amplification {one['amplification']:.2g}")


if __name__ == "__main__":
    main()
