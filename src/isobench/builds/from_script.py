"""A Python script -> DiscoveredModels or Builds: a worker runs it, finds the models that it calls, and exports them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.builds import element_types, rounding
from isobench.builds.build import (
    EXPORT_LOG_FILE,
    INPUTS_FILE,
    ONNX_FILE,
    Build,
    BuildFailure,
    Calling,
    ExportError,
    Onnx,
    bindings,
    content_id,
)
from isobench.builds.cache import Dependency, store
from isobench.builds.discovered import DiscoveredModel
from isobench.builds.given_inputs import Given
from isobench.builds.workers import run_directory, run_worker
from isobench.environments import Environment
from isobench.errors import ModelError
from isobench.planning.models import InputValues, Model
from isobench.planning.settings import Settings
from isobench.system import files
from isobench.workers import protocol

OWN = "the script's own"


def discover(
    model: Model, *, environment: Environment, settings: Settings, on_stage: Callable[[str], None]
) -> list[DiscoveredModel]:
    """Run the script and describe each model that it calls, and sub-models down to `settings.max_depth`.

    Raises:
        ModelError: the script fails, or calls no model.
    """
    arguments = {
        "script": str(model.path.absolute()),
        "script_args": list(model.script_args),
        "max_depth": settings.max_depth,
        "seed": settings.seed,
    }
    with run_directory("discover") as run_dir:
        outputs = run_worker(
            "discover_worker.py",
            arguments,
            run_dir,
            environment,
            settings,
            on_stage,
            reads=model.files,
            cwd=Path.cwd(),
            env=model.env,
        )
    return [DiscoveredModel.from_json(entry) for entry in outputs["models"]]


def build(
    model: Model,
    *,
    onnx: bool,
    environment: Environment,
    settings: Settings,
    on_stage: Callable[[str], None],
    given: Mapping[str, Given] | None = None,
) -> tuple[list[Build], list[Dependency]]:
    """Discover and export in one process; return the builds and what they depend on.

    `given` has values for the inputs of the models of some hashes; all other inputs are those of the script's calls.

    Raises:
        ModelError: the script fails, calls no model, or an exported file isn't ONNX.
    """
    given = given or {}
    with run_directory("export") as run_dir, run_directory("given") as given_dir:
        written = {key: str(_written(one, given_dir / f"{key}.msgpack")) for key, one in given.items()}
        arguments = {
            "output_dir": str(run_dir),
            "script": str(model.path.absolute()),
            "script_args": list(model.script_args),
            "hash": model.hash,
            "opset": settings.opset,
            "seed": settings.seed,
            "onnx": onnx,
            "max_depth": settings.max_depth,
            "given": written,
        }
        outputs = run_worker(
            "export_worker.py",
            arguments,
            run_dir,
            environment,
            settings,
            on_stage,
            reads=[*model.files, given_dir] if given else model.files,
            cwd=Path.cwd(),
            env=model.env,
        )
        dependencies = [Dependency.from_json(entry) for entry in outputs["dependencies"]]
        script_sha256 = _as_run(model.path, dependencies)
        builds = [
            _stored(
                entry,
                run_dir / entry["folder"],
                model,
                script_sha256,
                given.get(entry["hash"]),
                alone=outputs["alone"],
                missing_variables=tuple(outputs["missing_variables"]),
                notes=tuple(outputs["notes"]),
            )
            for entry in outputs["models"]
        ]
    return builds, dependencies


def _as_run(script: Path, dependencies: Sequence[Dependency]) -> str:
    """The hash of the script as the worker has read it: it may have been changed since."""
    own = (one.sha256 for one in dependencies if one.path == str(script.absolute()))
    return next(own, "") or files.sha256(script)


def _written(given: Given, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    protocol.write_tensors(file, [one for tensors in given.tensors.values() for one in tensors])
    return file


def _input_values(entry: Mapping[str, Any], folder: Path, given: Given | None) -> tuple[InputValues, ...]:
    """The record of each input, as the worker wrote it."""
    rules = given.rules if given else {}
    parameters = entry["input_parameters"]
    return tuple(
        element_types.values(tensor, rules.get(tensor.name, OWN), parameters.get(tensor.name, ""))
        for tensor in protocol.read_tensors(folder / INPUTS_FILE)
    )


def _stored(
    entry: Mapping[str, Any],
    folder: Path,
    model: Model,
    script_sha256: str,
    given: Given | None,
    *,
    alone: bool,
    missing_variables: tuple[str, ...],
    notes: tuple[str, ...],
) -> Build:
    """Check what the worker wrote for one model, and move it into the cache."""
    found = DiscoveredModel.from_json(entry)
    exported, notes_on_file = _exported(entry.get("onnx"), folder)
    onnx = exported if isinstance(exported, Onnx) else None
    onnx_error = exported if isinstance(exported, ExportError) else None
    if onnx_error:
        shutil.copyfile(folder.parent / protocol.LOG_FILE, folder / EXPORT_LOG_FILE)
    what = onnx.sha256 if onnx else "no export" if onnx_error else ""
    spreads = rounding.derive(folder, entry["rounding"]) if "rounding" in entry else ()
    identity = content_id(folder, found.hash, entry["weights_sha256"], what)
    made = Build(
        id=identity,
        folder=paths.builds() / identity,
        model=model,
        part="" if alone else found.name,
        class_name=found.class_name,
        hash=found.hash,
        inputs=found.inputs,
        signature=found.signature,
        parameters=found.parameters,
        weights_sha256=entry["weights_sha256"],
        reference="torch-eager",
        max_depth=found.depth,
        onnx=onnx,
        onnx_error=onnx_error,
        model_sha256=script_sha256,
        input_values=_input_values(entry, folder, given),
        notes=(*notes, *entry["notes"], *notes_on_file),
        calling=_calling(entry["calling"]) if entry["calling"] else Calling(),
        failure=BuildFailure(**entry["failure"]) if "failure" in entry else None,
        spreads=spreads,
        missing_variables=missing_variables,
    )
    return store(made, folder)


def _calling(entry: Mapping[str, Any]) -> Calling:
    return Calling(**{**entry, "renewed": tuple(entry["renewed"])})


def _exported(entry: Mapping[str, Any] | None, folder: Path) -> tuple[Onnx | ExportError | None, tuple[str, ...]]:
    """The exported file as the host sees it, or why there is none (None: none was requested), and notes about it."""
    if entry is None:
        return None, ()
    if "error" in entry:
        return ExportError(message=entry["error"]["message"], traceback=entry["error"].get("traceback", "")), ()
    from isobench.builds import onnx_file

    try:
        sha256, notes = onnx_file.check_exported(folder / ONNX_FILE)
    except ModelError as error:
        return ExportError(message=f"the exporter wrote an invalid file: {error.message}"), ()
    onnx = Onnx(
        sha256=sha256,
        opset=entry["opset"],
        exporter=entry["exporter"],
        inputs=bindings(entry["inputs"]),
        outputs=bindings(entry["outputs"]),
    )
    return onnx, notes
