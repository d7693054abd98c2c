"""Kills the host of a sweep again and again, and checks what is left each time.

A sweep of small models, one that fails, and interleaved ones is run; its host is killed with SIGKILL, and the sweep is
resumed, until it is done; then the next one begins, as long as there are kills left. Half of the kills come at a random
time, the others within a few milliseconds of an event, so that each phase is hit: start, preparing, between two cases,
measuring, saving. After each kill:

    no process of the sweep is left after a few seconds, and no lock;
    every result.json is whole, and so are its samples;
    no Case of a task has two Results.

At the end of each sweep, no Case lacks its Result. The first violation ends the benchmark with exit code 1.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import common
import models
import onnx
from onnx import TensorProto, helper

from isobench import paths, results
from isobench.errors import IsobenchError, ResultError
from isobench.planning import suite_file
from isobench.preflight import sweep as preflight
from isobench.results import Measured, Result
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import What
from isobench.system import locks

GRACE_S = 5.0
"""Within this time after the kill, the processes of the sweep must be gone, and their locks free."""
LONGEST_S = 3.0
"""A kill at a random time comes within this time."""
AT_RANDOM = "at random"

ENDED = {0, 3, 5}
"""Exit codes of a sweep whose Cases all have a Result: of those that fail on purpose, one fails in its build."""

# Iterations are few: what is killed is the host, and its phases should be about as long as those of the worker.
SUITE = """
schema = "isobench.suite/1"
models = ["model-*.onnx", "impossible.onnx"]
runtimes = ["ort"]
settings = { iterations = 200, warmup = 10, threads = 1 }
"""
INTERLEAVED = """
schema = "isobench.suite/1"
models = ["model-0.onnx"]
runtimes = ["ort", "ort:graph_optimization=basic"]
interleave = true
settings = { min-time = 0.05, max-time = 0.1, threads = 1 }
"""
# No provider of this name runs an ordinary model: the Case fails in its worker.
FAILING = """
schema = "isobench.suite/1"
models = ["model-0.onnx"]
runtimes = ["ort:execution_provider=AzureExecutionProvider"]
settings = { iterations = 10, threads = 1 }
"""


class Violation(Exception):  # noqa: N818 - it is what the benchmark looks for
    """What the kill left behind and must not have."""


EVENTS = {
    "start": ("", 0.4),
    "preparing": ("preparing, ", 0.15),
    "case begins": ("/", 0.1),
    "measuring": (": measuring", 0.02),
    "saving": (": writing the outputs", 0.05),
    "between": ("left", 0.02),
}
"""The events that half of the kills follow: what the host shows, and the longest time after it in seconds."""
CONTROLS = re.compile(r"[\r\n]|\x1b\[[0-9;]*[A-Za-z]")


def main() -> None:
    options = _options()
    common.environment_python("ort")  # it is installed, and shared with the user's own home
    environments = paths.home() / "environments"
    generator = random.Random(options.seed)
    phases: Counter[str] = Counter()
    slowest_s, sweeps = 0.0, 0
    try:
        with tempfile.TemporaryDirectory(prefix="isobench-kills-") as temporary:
            while sum(phases.values()) < options.kills:
                sweeps += 1
                world = _World(Path(temporary) / str(sweeps), environments, options.models)
                most = options.kills - sum(phases.values())
                for phase, gone_s in world.kills(generator, most):
                    phases[phase] += 1
                    slowest_s = max(slowest_s, gone_s)
                    common.row(f"sweep {sweeps}", phase, f"{gone_s:.2f} s", widths=(10, 12, 8))
                print(f"sweep {sweeps}: {world.finish()}", flush=True)
    except Violation as violation:
        sys.exit(f"after {sum(phases.values())} kills (--seed {options.seed}): {violation}")
    killed = sum(phases.values())
    print(f"{killed} kills in {sweeps} sweeps: nothing left running or locked, no Result damaged, doubled or missing")
    print(", ".join(f"{phase}: {count}" for phase, count in sorted(phases.items())))
    print(f"the slowest worker was gone after {slowest_s:.2f} s")
    common.report("kills", {"seed": options.seed, "sweeps": sweeps, "phases": dict(phases), "slowest_s": slowest_s})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="(default: 100)")
    parser.add_argument("--models", type=int, default=8, help="models of each sweep that are measured (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="of the times of the kills")
    return parser.parse_args()


class _World:
    """One sweep, in an ISOBENCH_HOME of its own that has only the environments of the user's."""

    def __init__(self, root: Path, environments: Path, count: int) -> None:
        self.home, self.locks = root / "home", root / "locks"
        self.home.mkdir(parents=True)
        (self.home / "environments").symlink_to(environments)
        os.environ["ISOBENCH_HOME"] = str(self.home)
        os.environ["ISOBENCH_DEVICE_LOCKS"] = str(self.locks)
        for number in range(count):
            models.save_chain(number + 1, root).rename(root / f"model-{number}.onnx")
        _save_impossible(root / "impossible.onnx")
        tasks = []
        for name, text in (("plain", SUITE), ("interleaved", INTERLEAVED), ("failing", FAILING)):
            (root / f"{name}.toml").write_text(text)
            sweep = preflight.sweep(suite_file.load(root / f"{name}.toml"), name="kills")
            tasks += sweep.tasks
        self.folder = SweepFolder.create(replace(sweep, tasks=tuple(tasks)), root / "sweep")
        self._checked: set[str] = set()

    def kills(self, generator: random.Random, most: int) -> Iterator[tuple[str, float]]:
        """Kill and resume: the phase that each kill hit, and the seconds until everything was gone."""
        # A sweep is prepared only once, so that comes first.
        later = [event for event in EVENTS if event != "preparing"]
        events = ["preparing", *generator.sample(later, len(later))]
        for event in [each for pair in zip(events, [AT_RANDOM] * len(events), strict=True) for each in pair][:most]:
            host = _Host(self.folder.path)
            text, within_s = EVENTS.get(event, ("", LONGEST_S))
            after_s = generator.uniform(0, within_s)
            if not host.kill(text, after_s):
                return  # it ended by itself: nothing is left to do
            phase = self._phase(host)
            gone_s = self._wait_until_gone()
            self._check_results()
            yield phase, gone_s

    def finish(self) -> str:
        """Resume without a kill, and check that nothing is missing; the Results in words."""
        _Host(self.folder.path).wait()
        self._wait_until_gone()
        counts = self._check_results()
        tasks = self.folder.tasks()
        if tasks is None:
            raise Violation("the sweep has ended without tasks.json")
        for task in tasks:
            for label in map(str, task.plan.runtimes):
                if counts[task.key, label] != 1:
                    raise Violation(f"{task.label} ({task.key}) on {label} has no Result")
        return f"{len(tasks)} tasks, {counts.total()} Results"

    def _phase(self, host: _Host) -> str:
        """What the host was doing when it was killed: by its journal, and by what it printed last."""
        what = {event.what for event in self.folder.journal.events() if event.pid == host.pid}
        if What.STARTED not in what:
            return "start"
        if self.folder.tasks() is None:
            return "preparing"
        _, _, stage = host.last().rpartition(": ")
        if stage == "writing the outputs":
            return "saving"
        return "measuring" if stage in {"loading", "warming up", "measuring"} else "between"

    def _wait_until_gone(self) -> float:
        started = time.monotonic()
        while left := self._processes() + self._held():
            if time.monotonic() - started > GRACE_S:
                raise Violation(f"still there {GRACE_S:g} s after the kill: {'; '.join(left)}")
            time.sleep(0.02)
        return time.monotonic() - started

    def _processes(self) -> list[str]:
        """The processes whose arguments or environment name this sweep's folder, except for this one."""
        found, mine = [], os.fsencode(self.home.parent)
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal() or int(entry.name) == os.getpid():
                continue
            try:
                command, environment = ((entry / name).read_bytes() for name in ("cmdline", "environ"))
            except OSError:  # it has ended, or is another user's
                continue
            if mine in command or mine in environment:
                found.append(f"{entry.name} {command.replace(bytes(1), b' ').decode(errors='replace')}")
        return found

    def _held(self) -> list[str]:
        """The locks that are held; the kernel releases those of a killed process last of all."""
        files = (self.folder.lock_file, *self.home.rglob("*.lock"), *self.locks.glob("*.lock"))
        return [f"{file}, held by {holder}" for file in files if (holder := locks.holder(file))]

    def _check_results(self) -> Counter[tuple[str, str]]:
        """How many Results each task has on each runtime."""
        counts: Counter[tuple[str, str]] = Counter()
        for found in results.load_all(self.folder.results):
            if isinstance(found, ResultError):
                raise Violation(f"a damaged Result: {found.message}")
            self._check_samples(found)
            assert found.sweep is not None
            counts[found.sweep.task, found.runtime.label] += 1
        for (task, label), count in counts.items():
            if count > 1:
                raise Violation(f"the task {task} has {count} Results on {label}")
        return counts

    def _check_samples(self, result: Result) -> None:
        if result.id in self._checked or not isinstance(result.outcome, Measured):
            return
        try:
            samples = results.samples_ns(result, self.folder.results / result.id)
        except (OSError, IsobenchError) as error:
            raise Violation(f"{result.id} has no samples: {error}") from None
        if not all(map(len, samples)) or len(samples) != len(result.outcome.runs):
            raise Violation(f"{result.id} has not all of its samples")
        self._checked.add(result.id)


class _Host:
    """A process that runs the sweep in a terminal, and what it has shown there."""

    def __init__(self, folder: Path) -> None:
        self._ours, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))  # no line is cut
        command = [common.isobench_command(), "sweep", "resume", str(folder)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=terminal, start_new_session=True
        )
        os.close(terminal)
        self.pid = self._process.pid
        self._shown = ""
        self._more = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def kill(self, text: str, after_s: float) -> bool:
        """Kill it some time after it has shown `text`; False if it ended before."""
        with self._more:
            self._more.wait_for(lambda: self._ended or text in self._shown)
        time.sleep(after_s)
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            return True
        self.wait()
        return False

    def wait(self) -> None:
        """Let it end.

        Raises:
            Violation: it doesn't end as it should.
        """
        if self._process.wait() not in ENDED:
            raise Violation(f"resume ended with {self._process.returncode}:\n{self._shown[-2000:]}")
        self._reader.join()

    def last(self) -> str:
        """What it showed last."""
        with self._more:
            return [one for one in CONTROLS.split(self._shown) if one.strip()][-1:][0] if self._shown.strip() else ""

    def _read(self) -> None:
        try:
            while found := os.read(self._ours, 1 << 16):
                with self._more:
                    self._shown += found.decode(errors="replace")
                    self._more.notify_all()
        except OSError:  # the other end is closed
            pass
        os.close(self._ours)
        with self._more:
            self._ended = True
            self._more.notify_all()


def _save_impossible(file: Path) -> None:
    """Write a model whose build fails: the sizes of a matrix and itself don't match."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "x"], ["y"])], "impossible", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)


if __name__ == "__main__":
    main()
