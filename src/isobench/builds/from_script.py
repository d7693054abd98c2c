"""A Python script -> Builds: a worker runs it, finds the models that it calls, and exports them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.builds.build import (
    BUILD_FILE,
    EXPECTED_FILE,
    EXPORT_LOG_FILE,
    INPUTS_FILE,
    ONNX_FILE,
    Build,
    Onnx,
)
from isobench.builds.cache import Dependency, store
from isobench.builds.workers import run_worker
from isobench.environments import Environment
from isobench.errors import ModelError
from isobench.planning.models import Model, TensorSpec
from isobench.planning.settings import Settings
from isobench.system import files
from isobench.workers import protocol


def discover(
    model: Model, *, environment: Environment, settings: Settings, on_stage: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Run the script and describe each model that it calls, sub-models down to `settings.max_depth` included.

    Raises:
        ModelError: the script fails, or calls no model.
    """
    arguments = {
        "script": str(model.path.absolute()),
        "script_args": list(model.script_args),
        "max_depth": settings.max_depth,
        "seed": settings.seed,
    }
    run_dir = paths.new_run("discover")
    outputs = run_worker(
        "discover_worker.py", arguments, run_dir, environment, settings, on_stage, reads=model.files, cwd=Path.cwd()
    )
    shutil.rmtree(run_dir)
    models: list[dict[str, Any]] = outputs["models"]
    return models


def build(
    model: Model, *, onnx: bool, environment: Environment, settings: Settings, on_stage: Callable[[str], None]
) -> tuple[list[Build], list[Dependency]]:
    """Discover and export in one process; return the builds and what they depend on.

    Raises:
        ModelError: the script fails, calls no model, or an exported file is no valid ONNX.
    """
    run_dir = paths.new_run("export")
    arguments = {
        "output_dir": str(run_dir),
        "script": str(model.path.absolute()),
        "script_args": list(model.script_args),
        "hash": model.hash,
        "opset": settings.opset,
        "seed": settings.seed,
        "onnx": onnx,
        "max_depth": settings.max_depth,
    }
    outputs = run_worker(
        "export_worker.py", arguments, run_dir, environment, settings, on_stage, reads=model.files, cwd=Path.cwd()
    )
    dependencies = [Dependency.of(entry["path"], entry["sha256"]) for entry in outputs["dependencies"]]
    script_sha256 = files.sha256(model.path)
    builds = [
        _keep(entry, run_dir / entry["folder"], model, script_sha256, alone=outputs["alone"])
        for entry in outputs["models"]
    ]
    shutil.rmtree(run_dir)
    return builds, dependencies


def _keep(entry: Mapping[str, Any], folder: Path, model: Model, script_sha256: str, *, alone: bool) -> Build:
    """Check what the worker made of one model, and move it into the cache."""
    onnx, onnx_error = _checked(entry.get("onnx"), folder)
    if onnx_error:
        shutil.copyfile(folder.parent / protocol.LOG_FILE, folder / EXPORT_LOG_FILE)
    content = hashlib.sha256()
    parts = [
        entry["hash"],
        entry["weights_sha256"],
        files.sha256(folder / INPUTS_FILE),
        files.sha256(folder / EXPECTED_FILE),
    ]
    for part in (*parts, onnx.sha256 if onnx else "no export" if onnx_error else ""):
        content.update(f"{part}\n".encode())
    identity = content.hexdigest()[:16]
    made = Build(
        id=identity,
        folder=paths.builds() / identity,
        model=model,
        name=model.name if alone else f"{model.name}.{entry['name']}",
        class_name=entry["class"],
        hash=entry["hash"],
        inputs=_specs(entry["inputs"]),
        signature=entry["signature"],
        parameters=entry["parameters"],
        weights_sha256=entry["weights_sha256"],
        reference="torch-eager",
        deterministic=entry["deterministic"],
        max_depth=entry["depth"],
        onnx=onnx,
        onnx_error=onnx_error,
        model_sha256=script_sha256,
    )
    protocol.write_json(folder / BUILD_FILE, made.to_json())
    store(folder, identity)
    return made


def _checked(entry: Mapping[str, Any] | None, folder: Path) -> tuple[Onnx | None, Mapping[str, str] | None]:
    """The exported file as the host sees it, or why there is none."""
    if entry is None:
        return None, None
    if "error" in entry:
        return None, entry["error"]
    from isobench.builds import onnx_file

    try:
        sha256 = onnx_file.check_exported(folder / ONNX_FILE)
    except ModelError as error:
        return None, {"message": f"the exporter wrote a file that is no valid ONNX: {error.message}"}
    return (
        Onnx(
            sha256=sha256,
            opset=entry["opset"],
            exporter=entry["exporter"],
            inputs=tuple(entry["inputs"]),
            outputs=tuple(entry["outputs"]),
        ),
        None,
    )


def _specs(entries: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name=entry["name"], dtype=entry["dtype"], shape=tuple(entry["shape"])) for entry in entries)
