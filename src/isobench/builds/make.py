"""Model -> Builds: from the cache where nothing has changed, by workers otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from isobench.builds import cache
from isobench.builds.build import Build
from isobench.environments import Environment
from isobench.planning.models import Model
from isobench.planning.settings import Settings
from isobench.version import VERSION

RULES = 2
"""Counts up when what a build holds changes, so that none of an older isobench's making is taken."""


def find(model: Model, *, onnx: bool, environment: Environment, settings: Settings) -> list[Build] | None:
    """The builds of `model` that an earlier run made and that are still good, or None.

    `onnx` asks for those with an ONNX file; a build that has one serves those who need none. `environment` is the one
    that runs the script (or, for an `.onnx` file, that computes the expected outputs).
    """
    for with_onnx in (True,) if onnx else (True, False):
        for selector in dict.fromkeys(("", model.hash)):
            builds = cache.look_up(_key(model, selector, with_onnx, environment, settings), model)
            chosen = [build for build in builds or () if build.hash.startswith(model.hash)]
            if chosen:
                return chosen
    return None


def make(
    model: Model, *, onnx: bool, environment: Environment, settings: Settings, on_stage: Callable[[str], None]
) -> list[Build]:
    """Build `model` and remember it: one Build for each model of a script that was called, or for the one chosen.

    Raises:
        ModelError: it can't be read, run or described; `details` holds the script's own traceback.
        WorkerError: the worker crashed or took too long.
        UsageError: the shapes of an `.onnx` file's inputs aren't settled.
    """
    from isobench.builds import from_onnx, from_script

    source = from_script if model.is_script else from_onnx
    builds: list[Build]
    builds, dependencies = source.build(model, onnx=onnx, environment=environment, settings=settings, on_stage=on_stage)
    # A failed export is tried again: it may have been for want of memory, or of disk.
    if not any(build.onnx_error for build in builds):
        cache.remember(_key(model, model.hash, onnx, environment, settings), builds, dependencies)
    return builds


def _key(model: Model, selector: str, onnx: bool, environment: Environment, settings: Settings) -> str:
    asked: dict[str, Any] = {
        "rules": [RULES, VERSION],
        "file": str(model.path.absolute()),
        "environment": environment.identity,
        "seed": settings.seed,
    }
    if model.is_script:
        asked |= {
            "folder": str(Path.cwd()),  # a script may open files by names that are relative to it
            "arguments": model.script_args,
            "hash": selector,
            "onnx": onnx,
            "opset": settings.opset,
            "max_depth": settings.max_depth,
        }
    else:
        asked |= {"dimensions": dict(model.dimensions), "shapes": dict(model.shapes)}
    return cache.key(asked)
