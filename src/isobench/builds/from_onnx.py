"""An `.onnx` file -> Build: the host draws the inputs; unoptimised ONNX Runtime computes the expected outputs."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from isobench import paths
from isobench.analysis.output_spread import OutputSpread
from isobench.builds import (
    doubtful_inputs,
    given_inputs,
    onnx_file,
    onnx_inputs,
    onnx_store,
    ort_file,
    random_outputs,
    rounding,
    sizes,
)
from isobench.builds.build import EXPECTED_FILE, INPUTS_FILE, Binding, Build, Onnx, content_id
from isobench.builds.cache import Dependency, store
from isobench.builds.onnx_inputs import OnnxInputs
from isobench.builds.onnx_store import StoredOnnx
from isobench.builds.workers import run_directory, run_worker
from isobench.environments import Environment
from isobench.errors import ModelError, WorkerError
from isobench.failures import Ending
from isobench.planning.models import Model, TensorSpec
from isobench.planning.settings import Settings
from isobench.workers import protocol

REFERENCE = "onnxruntime without optimisations"


def build(
    model: Model,
    *,
    onnx: bool,  # noqa: ARG001 - the file exists either way
    environment: Environment,
    settings: Settings,
    on_stage: Callable[[str], None],
) -> tuple[list[Build], list[Dependency]]:
    """Read the file, draw inputs, compute the expected outputs; return the build and what it depends on.

    Raises:
        ModelError: it isn't an ONNX file, or ONNX Runtime can't run it.
        UsageError: the sizes of its inputs aren't fixed, or values that were given don't fit.
    """
    libraries = [model.custom_op_library.absolute()] if model.custom_op_library else []
    on_stage("reading the file")
    if model.is_ort_format:
        found = ort_file.read(model, environment=environment, settings=settings, on_stage=on_stage)
    else:
        found = onnx_file.read(model.path)
    inputs = onnx_inputs.prepare(model, found, settings.seed)
    content = _checked_hash(model, found, inputs.tensor_specs)
    with run_directory("reference") as run_dir:
        finished = _made(model, found, inputs, content, libraries, run_dir, environment, settings, on_stage)
    external = [file.path for file in found.external]
    dependencies = [model.path, *external, *given_inputs.files(model), *libraries]
    return [finished], [Dependency.of(path.absolute()) for path in dependencies]


def _made(
    model: Model,
    found: onnx_file.OnnxFile,
    inputs: OnnxInputs,
    content: str,
    libraries: Sequence[Path],
    run_dir: Path,
    environment: Environment,
    settings: Settings,
    on_stage: Callable[[str], None],
) -> Build:
    made = run_dir / "build"
    made.mkdir(parents=True)
    fixed = ort_file.FIXED if model.is_ort_format else sizes.fixed(found, inputs.specs)
    stored = onnx_store.copy(found, content, fixed, inputs.specs, run_dir / "onnx")
    protocol.write_tensors(made / INPUTS_FILE, list(inputs.tensors))
    arguments = {
        "onnx_file": str(stored.file),
        "inputs_file": str(made / INPUTS_FILE),
        "expected_file": str(made / EXPECTED_FILE),
        "evaluations_dir": str(made),
        **({"custom_op_library": str(libraries[0])} if libraries else {}),
    }
    spreads: tuple[OutputSpread, ...] = ()
    notes: tuple[str, ...] = ()
    try:
        computed = run_worker(
            "reference_worker.py",
            arguments,
            run_dir / "worker",
            environment,
            settings,
            on_stage,
            reads=[stored.file.parent, *libraries],
            writes=[made],
        )
        spreads = rounding.derive(made, computed["rounding"])
    except (ModelError, WorkerError) as error:
        if inputs.expected is None:
            raise doubtful_inputs.explain(error, inputs.drawn, model, found.model.graph) from None
        notes = (f"the given outputs are the only expected ones: {error.message}",)
    if inputs.expected is not None:
        protocol.write_tensors(made / EXPECTED_FILE, list(inputs.expected))
    finished = _describe(model, found, inputs, made, content, stored)
    random = set() if model.is_ort_format else random_outputs.find(found.model, inputs.tensors)
    spreads = _with_random(spreads, random)
    finished = replace(
        finished,
        spreads=spreads,
        notes=(*inputs.notes, *finished.notes, *notes),
    )
    return store(finished, made, besides=onnx_store.place(stored).files)


def _with_random(spreads: tuple[OutputSpread, ...], random: set[str]) -> tuple[OutputSpread, ...]:
    known = {spread.name: spread for spread in spreads}
    known |= {name: replace(known.get(name) or OutputSpread(name=name), random=True) for name in sorted(random)}
    return tuple(known.values())


def _checked_hash(model: Model, found: onnx_file.OnnxFile, inputs: Sequence[TensorSpec]) -> str:
    """The SHA-256 of the file with its external data; `model.hash`, if one was given, must be the model's own."""
    content = onnx_file.content_hash(found.path, found.external)
    own = _hash(content, inputs)
    if not own.startswith(model.hash):
        raise ModelError(
            f"{model.path} has no model {model.hash!r}: with these sizes of inputs, its hash is {own}",
            hint=f"Leave the hash out: {shlex.quote(str(model.path))}",
            kind=Ending.UNKNOWN_HASH,
        )
    return content


def _hash(content: str, inputs: Sequence[TensorSpec]) -> str:
    return hashlib.sha256(f"{content}\n{_signature(inputs)}".encode()).hexdigest()[:8]


def _signature(inputs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name}={spec.dtype}{list(spec.shape)}" for spec in inputs)


def _describe(
    model: Model, found: onnx_file.OnnxFile, inputs: OnnxInputs, made: Path, content: str, stored: StoredOnnx
) -> Build:
    checked = (ort_file.NOTE,) if model.is_ort_format else onnx_file.notes(stored.file)
    identity = content_id(made, stored.sha256, *(f"{name}={size}" for name, size in sorted(stored.fixed.named.items())))
    return Build(
        id=identity,
        folder=paths.builds() / identity,
        model=model,
        part="",
        class_name="",
        hash=_hash(content, inputs.tensor_specs),
        inputs=inputs.tensor_specs,
        input_values=inputs.values,
        signature=f"({_signature(inputs.tensor_specs)})",
        parameters=found.parameters,
        weights_sha256=content,
        reference=inputs.reference or (ort_file.REFERENCE if model.is_ort_format else REFERENCE),
        max_depth=0,
        onnx=Onnx(
            sha256=stored.sha256,
            opset=found.opset,
            exporter="",
            inputs=tuple(Binding(name=spec.name, source=spec.name) for spec in inputs.specs),
            outputs=tuple(Binding(name=spec.name, source=spec.name) for spec in found.outputs),
            dimensions=stored.fixed.named,
            file=os.path.relpath(stored.folder / stored.file.name, paths.builds() / identity),
        ),
        onnx_error=None,
        model_sha256=content,
        notes=(*checked, *stored.fixed.notes),
    )
