"""What a sweep costs: host time a case, planning, memory, `status`, and `resume` when nothing is left.

cases    a sweep of warm cases (`isobench sweep resume`) against as many bare scripts (bare.py) one after the other, in
         pairs of random, seeded order; the CPU time of the host alone is read at its end
plan     a suite of 1,000 tasks: read, checked and frozen; `isobench sweep --dry-run`; `isobench sweep status`
memory   the resident memory of the host after each tenth of a sweep of 500 cases, the time of each tenth and the host's
         share of it; then `status` and `resume` of that sweep
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import models
import onnx
from onnx import TensorProto, helper

from isobench import paths
from isobench.planning import suite_file
from isobench.preflight import sweep as preflight
from isobench.sweeps.folder import SweepFolder

BARE = Path(__file__).with_name("bare.py")
PARTS = ("cases", "plan", "memory")
TENTHS = 10
PLANNED = 1000

# The command `isobench` with the CPU time of its process, without that of its workers, as the last line.
HOST = """
import os, resource
leave = os._exit
def measured(code):
    print("host", sum(resource.getrusage(resource.RUSAGE_SELF)[:2]), flush=True)
    leave(code)
os._exit = measured
from isobench.__main__ import main
main()
"""
PLAN = """
import sys, time
started = time.perf_counter()
from pathlib import Path
from isobench.planning import suite_file
from isobench.preflight import sweep as preflight
from isobench.sweeps.folder import SweepFolder
sweep = preflight.sweep(suite_file.load(sys.argv[1]))
planned = time.perf_counter()
SweepFolder.create(sweep, Path(sys.argv[2]))
print(len(sweep.tasks), planned - started, time.perf_counter() - planned)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="(default: all of them)")
    parser.add_argument("--pairs", type=int, default=7, help="(default: 7)")
    parser.add_argument("--cases", type=int, default=20, help="of each of these sweeps (default: 20)")
    parser.add_argument("--memory-cases", type=int, default=500, help="of the longest sweep (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="of the order within pairs")
    options = parser.parse_args()
    python = common.environment_python("ort")
    environments = paths.home() / "environments"
    with tempfile.TemporaryDirectory(prefix="isobench-sweeps-") as temporary:
        root = Path(temporary)
        (root / "home").mkdir()
        (root / "home" / "environments").symlink_to(environments)
        os.environ["ISOBENCH_HOME"] = str(root / "home")
        model = models.save("tiny-mlp", root)
        found: dict[str, object] = {"cases": options.cases}
        if "cases" in options.parts:
            found["pairs"] = _pairs(root, model, python, options)
        if "plan" in options.parts:
            found["planning_s"] = _planning(root)
        if "memory" in options.parts:
            found["memory"] = _memory(root, options.memory_cases)
    common.report("sweeps", found)


def _pairs(root: Path, model: Path, python: Path, options: argparse.Namespace) -> list[dict[str, float]]:
    generator = random.Random(options.seed)
    # The same work as the bare script's: 10 untimed iterations, 100 timed ones.
    suite = _suite(root / "cases.toml", model.name, "iterations = 100, warmup = 10", repeat=options.cases)
    bare = [str(python), str(BARE), str(model), str(root / "bare.json"), "1"]
    _sweep(root / "first", suite)  # everything warm
    found = []
    for number in range(options.pairs):
        first_bare = generator.random() < 0.5
        bare_s = _repeated(bare, options.cases) if first_bare else 0.0
        sweep_s, host_s = _sweep(root / f"pair-{number}", suite)
        bare_s = bare_s or _repeated(bare, options.cases)
        found.append({"sweep_s": sweep_s, "bare_s": bare_s, "host_s": host_s})
    ratios = [one["sweep_s"] / one["bare_s"] for one in found]
    low, high = common.median_interval(ratios, generator)
    print(f"{options.cases} warm cases in a sweep and {options.cases} bare scripts, {options.pairs} pairs:")
    for name in ("sweep_s", "bare_s", "host_s"):
        values = [one[name] for one in found]
        print(f"  {name:8} least {min(values):.2f}, median {statistics.median(values):.2f}")
    print(f"  ratio    median {statistics.median(ratios):.3f} ({low:.3f}..{high:.3f})")
    added = [(one["sweep_s"] - one["bare_s"]) / options.cases for one in found]
    own = [one["host_s"] / options.cases for one in found]
    print(
        f"  a case   {statistics.median(added):+.3f} s of time, {statistics.median(own):.3f} s of the host's CPU time"
    )
    return found


def _planning(root: Path) -> dict[str, float]:
    """Seconds to plan, freeze, dry-run and show a suite of 1,000 tasks; the least of three each."""
    for number in range(10):
        _save_dynamic(root / f"dynamic-{number}.onnx")
    suite = root / "planned.toml"
    suite.write_text(
        'schema = "isobench.suite/1"\nmodels = ["dynamic-*.onnx"]\nruntimes = ["ort"]\ndim = { rows = "{rows}" }\n'
        f"[matrix]\nrows = {[*range(1, PLANNED // 10 + 1)]}\n"
    )
    isobench = common.isobench_command()
    found: dict[str, list[float]] = {"plan": [], "freeze": [], "dry-run": [], "status": []}
    for number in range(3):
        folder = root / f"planned-{number}"
        tasks, planned_s, frozen_s = common.output([sys.executable, "-c", PLAN, suite, folder]).split()
        assert int(tasks) == PLANNED
        found["plan"].append(float(planned_s))
        found["freeze"].append(float(frozen_s))
        found["dry-run"].append(_seconds([isobench, "sweep", str(suite), "--dry-run"]))
        found["status"].append(_seconds([isobench, "sweep", "status", str(folder)]))
    least = {name: min(values) for name, values in found.items()}
    print(f"{PLANNED} tasks, the least of 3: " + ", ".join(f"{name} {value:.2f} s" for name, value in least.items()))
    return least


def _memory(root: Path, cases: int) -> dict[str, list[float]]:
    """The host's memory in MB and the seconds of each tenth of a long sweep; then `status` and `resume`."""
    suite = _suite(root / "long.toml", "tiny-mlp.onnx", "iterations = 1, warmup = 1", repeat=cases)
    folder = SweepFolder.create(preflight.sweep(suite_file.load(suite)), root / "long")
    command = [common.isobench_command(), "sweep", "resume", str(folder.path)]
    cpu_s = [0.0]
    memory_mb, times_s, ends = [], [time.perf_counter()], [cases * part // TENTHS for part in range(1, TENTHS + 1)]
    host = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert host.stderr is not None
    ended = 0
    for line in host.stderr:
        ended += line.startswith("[")
        if ended in ends[len(memory_mb) :][:1]:
            memory_mb.append(_resident_mb(host.pid))
            cpu_s.append(_cpu_s(host.pid))
            times_s.append(time.perf_counter())
    if host.wait() or len(memory_mb) != TENTHS:
        sys.exit(f"the sweep of {cases} cases exited with {host.returncode} after {ended}")
    parts_s, host_s = ([after - before for before, after in itertools.pairwise(each)] for each in (times_s, cpu_s))
    print(f"{cases} cases, each tenth:")
    for name, values in (("MB", memory_mb), ("seconds", parts_s), ("host's CPU seconds", host_s)):
        print(f"  {name:18} {', '.join(f'{one:.1f}' for one in values)}")
    status_s = _seconds([common.isobench_command(), "sweep", "status", str(folder.path)])
    resume_s = _seconds(command)
    print(f"{cases} cases, all done: status {status_s:.2f} s, resume {resume_s:.2f} s")
    return {
        "memory_mb": memory_mb,
        "parts_s": parts_s,
        "host_s": host_s,
        "status_s": [status_s],
        "resume_s": [resume_s],
    }


def _suite(file: Path, model: str, settings: str, *, repeat: int) -> Path:
    file.write_text(
        f'schema = "isobench.suite/1"\nmodels = ["{model}"]\nruntimes = ["ort"]\nrepeat = {repeat}\n'
        f"settings = {{ {settings}, threads = 1 }}\n"
    )
    return file


def _sweep(path: Path, suite: Path) -> tuple[float, float]:
    """Carry out a new sweep: its wall-clock seconds, and the CPU seconds of the host."""
    folder = SweepFolder.create(preflight.sweep(suite_file.load(suite)), path)
    started = time.perf_counter()
    printed = common.output([sys.executable, "-c", HOST, "sweep", "resume", folder.path])
    elapsed_s = time.perf_counter() - started
    return elapsed_s, float(printed.rpartition("host ")[2])


def _repeated(command: list[str], times: int) -> float:
    return sum(_seconds(command) for _ in range(times))


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    common.output(command)
    return time.perf_counter() - started


def _resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1000


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _save_dynamic(file: Path) -> None:
    """Write y = x + x, of a dynamic number of rows."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], file.stem, [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)


if __name__ == "__main__":
    main()
