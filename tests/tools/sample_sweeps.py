"""Sweeps to try things on: tasks of made-up models, and Results of them on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import sample_results

from isobench import results
from isobench.failures import Ending
from isobench.planning.models import Model
from isobench.planning.plan import Plan, SweepPlace
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.planning.settings import Settings
from isobench.results import Failed, Measured, ModelRecord, RuntimeRecord
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.task import PlannedCase, Sweep, Task, keyed


def task(model: str = "net", *runtimes: str, case_key: str = "", **place: Any) -> Task:
    """A task of one model; with `case_key`, it is prepared."""
    chosen = runtimes or ("ort",)
    plan = Plan(
        models=(Model(path=Path(f"/models/{model}.onnx")),),
        runtimes=tuple(map(RuntimeChoice.parse, chosen)),
        device="x86",
        settings=place.pop("settings", Settings(threads=2)),
        interleaved=len(chosen) > 1,
        sweep=SweepPlace(sweep="night", task="", **place),
    )
    cases = tuple(PlannedCase(label=f"{model} on {one}", case_key=case_key) for one in chosen) if case_key else ()
    return keyed(Task(plan=plan, cases=cases))


def sweep(*tasks: Task, **changes: Any) -> Sweep:
    values: dict[str, Any] = {
        "name": "night",
        "created_at": "2026-01-01T00:00:00.000+00:00",
        "isobench": "0.1.0",
        "suite": "/suites/night.toml",
        "suite_sha256": "5" * 64,
        "working_folder": Path("/suites"),
        "tasks": tasks,
    }
    return Sweep(**(values | changes))


def folder(path: Path, *tasks: Task, **changes: Any) -> SweepFolder:
    """A sweep on disk whose tasks are prepared."""
    made = SweepFolder.create(sweep(*tasks, **changes), path)
    made.freeze(tasks)
    return made


def save(
    into: SweepFolder, of: Task, outcome: Measured | Failed | None = None, *, runtime: str = "", **changes: Any
) -> results.Result:
    """Save a Result of a task in the sweep's folder."""
    number = len(results.files(into.results))
    model = of.plan.models[0]
    label = runtime or str(of.plan.runtimes[0])
    found = sample_results.make(
        label,
        outcome,
        id=f"20260101T0000{number:02}-{model.name}-{label}-{number:04}",
        model=ModelRecord(
            name=model.name, path=str(model.path), source_sha256="0" * 64, script_args=(), labels={}, hash="12ab34cd"
        ),
        case_key=of.cases[0].case_key if of.cases else "",
        sweep=of.plan.sweep,
    )
    result = replace(found, runtime=RuntimeRecord(name=label, label=label, version="1.0", arguments={}), **changes)
    results.save(result, root=into.results)
    return result


def failed(kind: Ending, message: str = "it broke", **more: Any) -> Failed:
    return Failed(kind=kind, message=message, **more)
