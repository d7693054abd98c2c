"""Jobs: what a sweep needs before it measures, each made by one process (`maker`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from isobench import codec, paths
from isobench.builds.build import Build, from_json
from isobench.environments import Spec
from isobench.errors import IsobenchError
from isobench.failures import Ending, Phase
from isobench.planning.models import Model, Step
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.planning.settings import Settings
from isobench.record import record


@record(frozen=True, slots=True, kw_only=True)
class EnvironmentJob:
    """Install an environment."""

    kind: ClassVar[str] = "environment"
    spec: Spec

    @property
    def label(self) -> str:
        return f"installing {self.spec.name}"


@record(frozen=True, slots=True, kw_only=True)
class BuildJob:
    """Build a model; `onnx`: each of its builds must have an ONNX file."""

    kind: ClassVar[str] = "build"
    model: Model
    settings: Settings
    onnx: bool

    @property
    def label(self) -> str:
        return f"building {self.model.name}"


@record(frozen=True, slots=True, kw_only=True)
class SequenceJob:
    """Take a model through the tools of a runtime's own sequence."""

    kind: ClassVar[str] = "sequence"
    model: Model
    settings: Settings
    runtime: RuntimeChoice
    device: str

    @property
    def label(self) -> str:
        return f"preparing {self.model.name} for {self.runtime}"


Job = EnvironmentJob | BuildJob | SequenceJob
_KINDS: Mapping[str, Any] = {one.kind: one for one in (EnvironmentJob, BuildJob, SequenceJob)}


@record(frozen=True, slots=True, kw_only=True)
class Made:
    """The builds that a job has made, and the steps that led to them."""

    builds: tuple[Build, ...] = ()
    steps: tuple[Step, ...] = ()


def to_json(job: Job) -> dict[str, Any]:
    """The job as JSON values."""
    return {"kind": job.kind, "job": codec.encode(job)}


def job_from_json(value: Mapping[str, Any]) -> Job:
    """The job that `to_json` returned `value` for."""
    job: Job = codec.decode(_KINDS[value["kind"]], value["job"], "job")
    return job


def made_to_json(made: Made) -> dict[str, Any]:
    """What was made, as JSON values."""
    return {
        "builds": [one.to_json() for one in made.builds],
        "folders": [str(one.folder) for one in made.builds],
        "steps": codec.encode(made.steps),
    }


def made_from_json(value: Mapping[str, Any], job: Job) -> Made:
    """What `made_to_json` returned `value` for."""
    if isinstance(job, EnvironmentJob):
        return Made()
    builds = tuple(
        from_json(one, folder=Path(folder), model=job.model)
        for one, folder in zip(value["builds"], value["folders"], strict=True)
    )
    return Made(builds=builds, steps=codec.decode(tuple[Step, ...], value["steps"], "steps"))


def error_to_json(error: IsobenchError) -> dict[str, Any]:
    """An error as JSON values."""
    return {
        "message": error.message,
        "hint": error.hint,
        "details": error.details,
        "kind": error.kind,
        "phase": error.phase,
        "cause": error.cause,
    }


def error_from_json(value: Mapping[str, Any]) -> IsobenchError:
    """The error that `error_to_json` returned `value` for."""
    phase = Phase(value["phase"]) if value["phase"] else None
    return IsobenchError(
        value["message"],
        hint=value["hint"],
        details=value["details"],
        kind=Ending(value["kind"]),
        phase=phase,
        cause=value["cause"],
    )


def log_file() -> Path:
    """A new file for what the makers' libraries print."""
    return paths.new_run("preparing")  # without the suffix of logs that stay for days: it is removed when all are done
