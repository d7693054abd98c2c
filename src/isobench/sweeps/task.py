"""Sweep and Task: the frozen plan of a sweep, as names and values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from isobench import codec
from isobench.constraints import PositiveCount
from isobench.planning import suite_values
from isobench.planning.plan import Plan
from isobench.record import record
from isobench.system import files

SCHEMA = "isobench.sweep/1"
KEY_DIGITS = 12


@record(frozen=True, slots=True, kw_only=True)
class PlannedCase:
    """A Case before it is measured: its label ("resnet18 on ort"), and its CaseKey.

    `parts` name what the Case was when its task was frozen (the model's file, the environment, isobench's version):
    where the CaseKey is another later, they say what has changed.
    """

    label: str
    case_key: str
    parts: Mapping[str, str] = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Task:
    """What a sweep measures at once: a Plan of one Case, or of Cases that are interleaved.

    A task that was requested names a script, which may call several models; once its build is made, a task stands for
    each of them, with its `cases`. `cases` is empty where the build failed. `plan.sweep` is the task's place.
    `requested` is the key of the task that it was made of, where that is another: of a script with several models.
    `by_architecture` are its Cases on each architecture that it was prepared for, where the machines that measure have
    several ("x86_64", "aarch64"): on the others it isn't measured.
    """

    plan: Plan
    cases: tuple[PlannedCase, ...] = ()
    requested: str = ""
    by_architecture: Mapping[str, tuple[PlannedCase, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.plan.sweep is None or not self.plan.models or not self.plan.runtimes:
            raise ValueError("a task's plan must have a model, a runtime and a place in the sweep")

    @property
    def key(self) -> str:
        """What identifies the task within its sweep."""
        assert self.plan.sweep is not None
        return self.plan.sweep.task

    @property
    def attempt(self) -> int:
        """Which attempt at it is next, or at work: Results of earlier ones no longer count."""
        assert self.plan.sweep is not None
        return self.plan.sweep.attempt

    @property
    def runtimes(self) -> tuple[str, ...]:
        """The labels of its runtimes: each of its Results has one of them."""
        return tuple(map(str, self.plan.runtimes))

    def at(self, attempt: int) -> Task:
        """The task at another attempt."""
        assert self.plan.sweep is not None
        return replace(self, plan=replace(self.plan, sweep=replace(self.plan.sweep, attempt=attempt)))

    @property
    def label(self) -> str:
        """The task in words: its model and runtimes, and its place in the matrix."""
        model = self.plan.models[0]
        what = " and ".join(one.label for one in self.cases)
        what = what or f"{model.name} on {' and '.join(map(str, self.plan.runtimes))}"
        place = self.plan.sweep
        assert place is not None
        values = [f"{name}={suite_values.as_text(value)}" for name, value in place.axes.items()]
        values += [f"repeat {place.repeat}"] if place.repeat > 1 else []
        return f"{what} ({', '.join(values)})" if values else what


def keyed(task: Task) -> Task:
    """The task with its key, a hash of everything in its plan but the sweep's name and the attempt."""
    assert task.plan.sweep is not None
    place = replace(task.plan.sweep, sweep="", task="", attempt=1)
    content = replace(task.plan, sweep=place, command=(), results=None).to_json()
    text = json.dumps(content, sort_keys=True, default=str)
    key = files.sha256_of(text.encode())[:KEY_DIGITS]
    return replace(task, plan=replace(task.plan, sweep=replace(task.plan.sweep, task=key)))


@record(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The frozen plan: what was requested, and how it is carried out.

    `working_folder` is the folder in which tasks run: relative names in scripts start there. `options` are those of the
    executor. `attempts`: how often a task is tried whose node or process is lost.
    """

    name: str
    created_at: str
    isobench: str
    suite: str
    suite_sha256: str
    working_folder: Path
    tasks: tuple[Task, ...]
    order: str = "as-written"
    seed: int = 0
    executor: str = "local"
    options: Mapping[str, Any] = field(default_factory=dict)
    attempts: PositiveCount = 2
    schema: str = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The sweep as JSON values."""
        value: dict[str, Any] = codec.encode(self)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Sweep:
        """The sweep that `to_json` returned `value` for.

        Raises:
            ValueError: it has another schema, or doesn't match it.
        """
        sweep: Sweep = codec.decode_document(cls, value, "sweep")
        return sweep
