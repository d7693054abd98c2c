"""Sweeps for the tests' own Slurm (`slurm_world`): small, and ended with their test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import sample_sweeps

from isobench import api, results
from isobench.planning.plan import SweepPlace
from isobench.results import Result
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import What
from isobench.sweeps.task import Task, keyed

QUICK = {"iterations": 100}
LONG = {"min_time_s": 60.0, "max_time_s": 60.0}


def write_onnx(path: Path) -> Path:
    import onnx
    from onnx import TensorProto, helper

    shape = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 8])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 8])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [shape], [output])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def tasks(number: int, model: Path, *, runtime: str = "ort", **settings: Any) -> tuple[Task, ...]:
    plan = api.plan([str(model)], runtimes=[runtime], **settings)
    places = [SweepPlace(sweep="night", task="", axes={"number": number}) for number in range(number)]
    return tuple(keyed(Task(plan=replace(plan, sweep=place))) for place in places)


def a_sweep(path: Path, of: tuple[Task, ...], *, executor: str = "slurm", **options: Any) -> SweepFolder:
    chosen = {"poll": 1, **options} if executor == "slurm" else {}
    sweep = sample_sweeps.sweep(*of, working_folder=path.parent, executor=executor, options=chosen)
    return SweepFolder.create(sweep, path)


def outcomes(folder: SweepFolder) -> list[Result]:
    return [one for one in results.load_all(folder.results) if isinstance(one, Result)]


def events(folder: SweepFolder, what: What) -> list[Any]:
    return [event for event in folder.journal.events() if event.what is what]


@contextmanager
def isobench(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """`isobench sweep ...` in another process, which ends with the block."""
    command = [sys.executable, "-m", "isobench", "sweep", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
