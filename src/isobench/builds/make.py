"""Model -> Builds: from the cache if nothing has changed, by workers otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from isobench.builds import cache
from isobench.builds.build import Build
from isobench.environments import Environment
from isobench.errors import UsageError
from isobench.planning.models import Model
from isobench.planning.settings import Settings
from isobench.version import VERSION

RULES = 11
"""To be increased when the content of builds changes, so that builds of an older isobench aren't used."""


def find(
    model: Model,
    *,
    onnx: bool,
    environment: Environment,
    settings: Settings,
    on_note: Callable[[str], None] = lambda _: None,
) -> list[Build] | None:
    """The builds of `model` in the cache that are still valid, or None.

    `on_note` receives a sentence about one that is corrupted.
    `onnx` requires an ONNX file; a build that has one is also used where none is required. `environment` runs the
    script or, for an `.onnx` file, computes the expected outputs.
    """
    for with_onnx in (True,) if onnx else (True, False):
        for selector in dict.fromkeys(("", model.hash)):
            index_key = _key(model, selector, with_onnx, environment, settings)
            builds = cache.look_up(index_key, model, on_note=on_note)
            chosen = [build for build in builds or () if build.hash.startswith(model.hash)]
            if chosen:
                return chosen
    return None


def find_or_make(
    model: Model,
    *,
    onnx: bool,
    environment: Environment,
    settings: Settings,
    on_stage: Callable[[str], None],
    on_note: Callable[[str], None] = lambda _: None,
    before: Callable[[], None] = lambda: None,
) -> list[Build]:
    """The builds of `model`: those in the cache, or else new ones.

    One process makes them, and others that need the same wait for it. `before` is called if they aren't in the cache.

    Raises:
        LockError: the lock on them can't be taken.
        ModelError, WorkerError, UsageError: see `make`.
    """
    what: dict[str, Any] = {"onnx": onnx, "environment": environment, "settings": settings}
    found = find(model, **what, on_note=on_note)
    if found is not None:
        return found
    before()
    index_key = _key(model, model.hash, onnx, environment, settings)
    with cache.lock_of(index_key, f"the build of {model.name}", on_wait=on_stage):
        return find(model, **what) or make(model, **what, on_stage=on_stage)


def make(
    model: Model, *, onnx: bool, environment: Environment, settings: Settings, on_stage: Callable[[str], None]
) -> list[Build]:
    """Build `model` and cache it: one Build for each model that a script calls, or for the chosen one.

    Raises:
        ModelError: it can't be read, run or described; `details` holds the script's own traceback.
        WorkerError: the worker crashed or took too long.
        UsageError: the shapes of an `.onnx` file's inputs aren't fixed.
    """
    how: dict[str, Any] = {"onnx": onnx, "environment": environment, "settings": settings, "on_stage": on_stage}
    if model.inputs:
        builds, dependencies = _of_sets(model, **how)
    else:
        builds, dependencies = _build(model, **how)
    # A failed export is tried again: memory or disk space may have run out.
    if not any(build.onnx_error or build.failure for build in builds):
        cache.remember(_key(model, model.hash, onnx, environment, settings), builds, dependencies)
    return builds


def _of_sets(model: Model, **how: Any) -> tuple[list[Build], list[cache.Dependency]]:
    """One Build of each model for all sets of inputs that were given: its own set, and `sets` for the others."""
    from isobench.builds import given_inputs, input_sets

    models = given_inputs.split(model)
    made = [_build(one, **how) for one in models]
    names = [" ".join(path.name for path in one.inputs) for one in models]
    builds = input_sets.combined([builds for builds, _ in made], names) if made[1:] else made[0][0]
    return [replace(one, model=model) for one in builds], [one for _, each in made for one in each]


def _build(model: Model, **how: Any) -> tuple[list[Build], list[cache.Dependency]]:
    from isobench.builds import from_onnx, from_script

    if model.is_script and (model.inputs or model.fill):
        return _with_given(model, **how)
    builds: list[Build]
    builds, dependencies = (from_script if model.is_script else from_onnx).build(model, **how)
    return builds, dependencies


def _with_given(
    model: Model, *, environment: Environment, settings: Settings, on_stage: Callable[[str], None], **how: Any
) -> tuple[list[Build], list[cache.Dependency]]:
    """Builds of a script whose models get values of the user's own. What inputs there are, its own builds say."""
    from isobench.builds import from_script, given_inputs

    plain = replace(model, inputs=(), fill={})
    recorded = find_or_make(plain, onnx=False, environment=environment, settings=settings, on_stage=on_stage)
    try:
        given = {one.hash: given_inputs.of_build(model, one, settings.seed) for one in recorded}
    except UsageError as error:
        if len(recorded) > 1:
            import shlex

            chosen = " or ".join(shlex.quote(f"{model.path}::{one.hash}") for one in recorded)
            error.hint = f"{error.hint} To measure one of the script's models: {chosen}".strip()
        raise
    builds, dependencies = from_script.build(
        model, environment=environment, settings=settings, on_stage=on_stage, given=given, **how
    )
    return builds, [*dependencies, *map(cache.Dependency.of, given_inputs.files(model))]


def _key(model: Model, selector: str, onnx: bool, environment: Environment, settings: Settings) -> str:
    request: dict[str, Any] = {
        "rules": [RULES, VERSION],
        "file": str(model.path.absolute()),
        "environment": environment.identity,
        "seed": settings.seed,
    }
    if model.inputs or model.fill:
        from isobench.builds import given_inputs

        request |= {"inputs": [str(path) for path in given_inputs.files(model)], "fill": dict(model.fill)}
    if model.is_script:
        request |= {
            "folder": str(Path.cwd()),  # a script may open files by relative names
            "arguments": model.script_args,
            "hash": selector,
            "onnx": onnx,
            "opset": settings.opset,
            "max_depth": settings.max_depth,
            "env": dict(model.env),
        }
    else:
        request |= {"dimensions": dict(model.dimensions), "shapes": dict(model.shapes)}
        if model.custom_op_library is not None:
            request["custom_op_library"] = str(model.custom_op_library.absolute())
    return cache.key(request)
