"""A sweep's folder:

    sweep.json         the frozen plan, as it was requested (`task.Sweep`); if it holds secrets, for its user alone
    tasks.json         the tasks once everything is prepared: one for each model that a script calls
    options.json       options of the executor that were changed since
    journal/           what happened (`journal`)
    results/ID/        the Results
    sweep.lock         held by the process that runs the sweep
    slurm/             what the executor `slurm` needs: scripts, logs, job ids

Whether a task is done, the Results say: each names its task (`Result.sweep.task`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from isobench import codec, paths, redaction
from isobench.errors import UsageError
from isobench.sweeps.journal import Journal
from isobench.sweeps.task import SCHEMA, Sweep, Task
from isobench.system import files, reading
from isobench.workers import protocol

SWEEP_FILE = "sweep.json"
TASKS_FILE = "tasks.json"
TASKS_SCHEMA = "isobench.tasks/1"
OPTIONS_FILE = "options.json"
OPTIONS_SCHEMA = "isobench.options/1"
_OPTIONS: Any = Mapping[str, Any]


class SweepFolder:
    """A sweep on disk. `SweepFolder.create` makes one, `SweepFolder.find` opens one."""

    def __init__(self, path: Path, sweep: Sweep) -> None:
        self.path = path
        self.sweep = sweep
        self.journal = Journal(path / "journal")

    @classmethod
    def create(cls, sweep: Sweep, path: Path) -> SweepFolder:
        """Write a new sweep.

        Raises:
            UsageError: the folder holds a sweep already, or can't be written.
        """
        if reading.exists(path / SWEEP_FILE):
            raise UsageError(
                f"{path} holds a sweep already", hint=f"Go on with it: isobench sweep resume {path}; or choose another."
            )
        try:
            (path / "results").mkdir(parents=True, exist_ok=True)
            private = any(_holds_secrets(task) for task in sweep.tasks)
            files.write_atomically(path / SWEEP_FILE, json.dumps(sweep.to_json()), durable=True, private=private)
        except OSError as error:
            raise UsageError(
                f"a sweep can't be written in {path}: {error.strerror}", hint="Choose another folder with --output."
            ) from None
        return cls(path, sweep)

    @classmethod
    def find(cls, name: str | Path) -> SweepFolder:
        """The sweep in a folder, or the one of that name (or of an unambiguous beginning) in $ISOBENCH_HOME/sweeps.

        Raises:
            UsageError: there is none, or it can't be read.
        """
        path = Path(name).absolute()
        if not reading.exists(path / SWEEP_FILE):
            path = _named(str(name))
        try:
            sweep = Sweep.from_json(protocol.read_json(path / SWEEP_FILE, SCHEMA))
        except OSError as error:
            raise UsageError(f"{path / SWEEP_FILE} can't be read: {error.strerror}") from None
        except ValueError as error:
            raise UsageError(f"{path / SWEEP_FILE} is corrupted: {error}") from None
        return cls(path, sweep)

    @cached_property
    def plan_sha256(self) -> str:
        """Of the plan's file as it is when this is first asked for: what a node must find, too."""
        return files.sha256(self.path / SWEEP_FILE)

    @property
    def results(self) -> Path:
        return self.path / "results"

    @property
    def lock_file(self) -> Path:
        return self.path / "sweep.lock"

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the executor: those that the sweep was started with, as changed since.

        Raises:
            UsageError: the file is corrupted.
        """
        return {**self.sweep.options, **self._changed()}

    def change_options(self, options: Mapping[str, Any]) -> None:
        """Use these options from now on.

        Raises:
            UsageError: the file is corrupted.
            OSError: it can't be written.
        """
        value = {"schema": OPTIONS_SCHEMA, "options": self._changed() | dict(options)}
        files.write_atomically(self.path / OPTIONS_FILE, json.dumps(value), durable=True)

    def _changed(self) -> dict[str, Any]:
        file = self.path / OPTIONS_FILE
        try:
            found = codec.decode(_OPTIONS, protocol.read_json(file, OPTIONS_SCHEMA).get("options"), "options")
            return dict(found)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise UsageError(f"{file} is corrupted: {error}", hint=f"Delete it, and resume: {self.path}") from None

    def tasks(self) -> tuple[Task, ...] | None:
        """The tasks to measure; None before everything is prepared.

        Raises:
            UsageError: the file is corrupted.
        """
        file = self.path / TASKS_FILE
        try:
            value = protocol.read_json(file, TASKS_SCHEMA)
            tasks: tuple[Task, ...] = codec.decode(tuple[Task, ...], value.get("tasks"), "tasks")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UsageError(f"{file} is corrupted: {error}", hint=f"Delete it, and resume: {self.path}") from None
        return tasks

    def freeze(self, tasks: Sequence[Task]) -> None:
        """Write the tasks, which don't change any more."""
        value: dict[str, Any] = {"schema": TASKS_SCHEMA, "tasks": [codec.encode(task) for task in tasks]}
        private = any(map(_holds_secrets, tasks))
        files.write_atomically(self.path / TASKS_FILE, json.dumps(value), durable=True, private=private)


def _holds_secrets(task: Task) -> bool:
    """Has a script of the task arguments or variables that are secret? A resumed sweep needs them as they are."""
    return any(
        redaction.holds_secrets(model.script_args) or any(map(redaction.is_secret, model.env, model.env.values()))
        for model in task.plan.models
    )


def results_in(folder: Path) -> Path:
    """The folder of results in a sweep's folder; any other folder as it is."""
    return folder / "results" if reading.exists(folder / SWEEP_FILE) else folder


def _named(name: str) -> Path:
    from isobench.system.names import by_prefix

    root = paths.sweeps()
    found = by_prefix(name, sorted(file.parent for file in root.glob(f"*/{SWEEP_FILE}")), lambda folder: folder.name)
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(folder.name for folder in found[-5:])
        raise UsageError(f"{name} matches {len(found)} sweeps: {several}", hint="Give more of the name.")
    raise UsageError(f"no sweep in {name}", hint=f"Sweeps are in {root}, unless --output names another folder.")
