"""What a Result says of a Case: its id, its model and its environment."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isobench.environments import Environment, Spec
from isobench.planning import script_variables
from isobench.planning.models import Model
from isobench.results import EnvironmentRecord, ModelRecord
from isobench.system import checkouts

if TYPE_CHECKING:
    from isobench.builds import Build

MOST_BYTES = 1 << 31
"""Of a file whose hash names a model that couldn't be built."""


def model_record(model: Model, build: Build | None) -> ModelRecord:
    """The model as it was named and, if it was built, its properties."""
    record: dict[str, Any] = {
        "name": build.name if build else model.name,
        "path": str(model.path.absolute()),
        "source_sha256": source_sha256(model, build),
        "script_args": script_variables.recorded_arguments(model.script_args),
        "env": script_variables.recorded(model.env),
        "labels": dict(model.labels),
        "git": checkouts.git(model.path),
    }
    if build:
        record |= {
            "class_name": build.class_name,
            "hash": build.hash,
            "parameters": build.parameters,
            "signature": build.signature,
            "inputs": build.inputs,
            "input_values": build.input_values,
            "input_sets": tuple(one.input_set for one in build.every_set) if build.sets else (),
            "weights_sha256": build.weights_sha256,
            "build": build.id,
            "inputs_sha256": _inputs_sha256(build),
            "reference": build.reference,
            "deterministic": build.deterministic,
            "notes": (*build.notes, *script_variables.unpassed(build.missing_variables, model.env)),
        }
        if build.onnx:
            record |= {
                "onnx_sha256": build.onnx.sha256,
                "onnx_opset": build.onnx.opset,
                "exporter": build.onnx.exporter,
            }
    return ModelRecord(**record)


def bare_model_record(model: Model, name: str) -> ModelRecord:
    """The model as it was named; nothing is read."""
    return ModelRecord(name=name, path=str(model.path), source_sha256="", script_args=(), labels={})


def source_sha256(model: Model, build: Build | None) -> str:
    """The hash of the script or `.onnx` file; "" where it can't be read, or is too large to be either."""
    if build:
        return build.model_sha256
    try:
        return _sha256_of(model.path) if model.path.stat().st_size <= MOST_BYTES else ""
    except OSError:
        return ""


def given_sha256(model: Model, build: Build | None) -> str:
    """The hash of the inputs where the user gave some of them; "" where none were given, or nothing was built."""
    return _inputs_sha256(build) if build and (model.inputs or model.fill) else ""


def _inputs_sha256(build: Build) -> str:
    """The hash of the inputs file; of several, the hash of their hashes."""
    found = [_sha256_of(one.inputs_file) for one in build.every_set]
    if len(found) == 1:
        return found[0]
    from isobench.system import files

    return files.sha256_of("\n".join(found).encode())


def environment_record(environment: Environment, spec: Spec | None) -> EnvironmentRecord:
    """The environment, as its manifest describes it."""
    manifest = environment.manifest()
    lock_file = spec.lock_file if spec else manifest.lock_file
    return EnvironmentRecord(
        name=environment.name,
        provider=environment.provider,
        identity=environment.identity,
        lock_sha256=environment.lock_sha256,
        lock_file=str(lock_file) if environment.lock_sha256 else "",
        conda_lock_sha256=environment.conda_lock_sha256,
        python=manifest.python.version,
        packages=tuple(f"{package.name}=={package.version}" for package in manifest.packages),
        conda_packages=tuple(
            f"{package.name}={package.version}={package.build}" for package in manifest.conda_packages
        ),
        image=environment.image,
        image_packages=tuple(f"{package.name}=={package.version}" for package in manifest.image_packages),
    )


def _sha256_of(path: Path) -> str:
    from isobench.system import files

    try:
        return files.sha256(path)
    except OSError:
        return ""


def new_id(started: datetime, name: str, runtime: str) -> str:
    """An id that sorts by time, names model and runtime, is unique, and is safe as a file's name.

    Hundreds of nodes may begin the same Case in the same second.
    """
    return f"{started:%Y%m%dT%H%M%S}-{_slug(name, '.')}-{_slug(runtime, '.@_')}-{os.urandom(4).hex()}"


def _slug(text: str, further: str) -> str:
    """The text with its letters, digits and `further` characters, at most 40, and dashes for the others."""
    return re.sub(rf"[^A-Za-z0-9{further}]+", "-", text).strip("-.")[:40].rstrip("-.")
