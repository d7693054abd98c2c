"""A Build derived from another one: a worker rewrites, optimises or converts its ONNX file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.builds import onnx_file
from isobench.builds.build import EXPECTED_FILE, INPUTS_FILE, ONNX_FILE, UNSTABLE_FILE, Build, Onnx, content_id
from isobench.builds.cache import key, lock_of, look_up, remember, store
from isobench.builds.workers import run_directory, run_worker
from isobench.environments import Environment
from isobench.errors import ModelError
from isobench.planning.models import TensorSpec
from isobench.planning.settings import Settings
from isobench.system import files
from isobench.workers import protocol


def derive(
    build: Build,
    worker: str | Path,
    options: Mapping[str, Any],
    *,
    environment: Environment,
    settings: Settings,
    on_stage: Callable[[str], None],
) -> Build:
    """The Build that a worker derives from `build`, or the cached one of an earlier run.

    The worker's `_execute` gets `onnx_file`; `output_dir`, where it writes `model.onnx`; `inputs_file` and
    `expected_file`, which are copies in `output_dir` that it may change; and `options`. It must not rename the graph's
    inputs and outputs.

    Raises:
        ModelError: the worker refuses the model, or writes a file that isn't ONNX.
        WorkerError: the worker crashed or took too long.
    """
    if build.sets:
        how: dict[str, Any] = {"environment": environment, "settings": settings, "on_stage": on_stage}
        first, *others = (derive(replace(one, sets=()), worker, options, **how) for one in build.every_set)
        return replace(first, sets=tuple(others))
    build.require_onnx()
    if build.model.is_ort_format:
        raise ModelError(
            f"{build.model.path.name} can't be changed: it is in ONNX Runtime's own format, which is already optimised",
            hint="Give the .onnx file that it was made of.",
        )
    assert build.onnx_file is not None
    index_key = key(
        {
            "derived": 1,
            "of": build.id,
            # The content, because a changed worker of the same name may make something else.
            "worker": files.sha256(paths.WORKERS / worker),
            "options": dict(options),
            "environment": environment.identity,
        }
    )
    known = look_up(index_key, build.model)
    if not known:
        with lock_of(index_key, f"what {worker} makes of {build.name}", on_wait=on_stage):
            known = look_up(index_key, build.model)
            if not known:
                derived = _derived(build, worker, options, environment, settings, on_stage)
                remember(index_key, [derived], [])
                return derived
    # The same values may have come from other files.
    types = {one.name: one.dtype for one in known[0].input_values}
    values = tuple(replace(one, dtype=types[one.name]) for one in build.input_values if one.name in types)
    return replace(known[0], input_values=values, input_set=build.input_set)


def _derived(
    build: Build,
    worker: str | Path,
    options: Mapping[str, Any],
    environment: Environment,
    settings: Settings,
    on_stage: Callable[[str], None],
) -> Build:
    build.verify()
    with run_directory(Path(worker).stem) as run_dir:
        made = run_dir / "build"
        made.mkdir(parents=True)
        for name in (INPUTS_FILE, EXPECTED_FILE):
            shutil.copyfile(build.folder / name, made / name)
        if build.unstable_file.exists():
            shutil.copyfile(build.unstable_file, made / UNSTABLE_FILE)
        arguments = {
            "onnx_file": str(build.onnx_file),
            "output_dir": str(made),
            "inputs_file": str(made / INPUTS_FILE),
            "expected_file": str(made / EXPECTED_FILE),
            **options,
        }
        place = run_dir / "worker"
        run_worker(worker, arguments, place, environment, settings, on_stage, reads=build.reads, writes=[made])
        return store(_described(build, made), made)


def _described(build: Build, made: Path) -> Build:
    assert build.onnx is not None
    found = onnx_file.read(made / ONNX_FILE)
    sha256 = onnx_file.content_hash(found.path, found.external)
    identity = content_id(made, build.id, sha256)
    remaining = {spec.name for spec in found.inputs}
    inputs = {tensor.name: tensor for tensor in protocol.read_tensors(made / INPUTS_FILE)}
    specs = tuple(
        TensorSpec(name=spec.name, dtype=inputs[spec.name].dtype, shape=spec.shape) if spec.name in inputs else spec
        for spec in build.inputs
    )
    return replace(
        build,
        id=identity,
        folder=paths.builds() / identity,
        inputs=specs,
        input_values=tuple(
            replace(one, dtype=inputs[one.name].dtype) for one in build.input_values if one.name in inputs
        ),
        signature=f"({', '.join(f'{spec.name}={spec.dtype}{list(spec.shape)}' for spec in specs)})",
        onnx=Onnx(
            sha256=sha256,
            opset=found.opset,
            exporter=build.onnx.exporter,
            inputs=tuple(binding for binding in build.onnx.inputs if binding.name in remaining),
            outputs=build.onnx.outputs,
            dimensions=build.onnx.dimensions,
        ),
        notes=(*onnx_file.notes(found.path), *(note for note in build.notes if not onnx_file.is_checkers(note))),
    )
