"""Build: one model, ready for every runtime: the ONNX file, the inputs and the expected outputs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any

from isobench.analysis.output_spread import OutputSpread
from isobench.builds import evidence
from isobench.builds.evidence import SealedFile
from isobench.errors import ChangedBuildError, ModelError
from isobench.failures import Ending
from isobench.planning.models import InputValues, Model, TensorSpec
from isobench.record import record
from isobench.system import files

SCHEMA = "isobench.build/1"
ONNX_FILE = "model.onnx"
INPUTS_FILE = "inputs.msgpack"
EXPECTED_FILE = "expected.msgpack"
BUILD_FILE = "build.json"
UNSTABLE_FILE = "unstable.msgpack"
EXPORT_LOG_FILE = "export.log"


@record(frozen=True, slots=True, kw_only=True)
class Binding:
    """An input or output of an ONNX file by its `name` there, and the tensor of the Build that belongs to it."""

    name: str
    source: str


@record(frozen=True, slots=True, kw_only=True)
class Onnx:
    """The ONNX file of a Build.

    `exporter` is "dynamo" or "torchscript"; "" for the user's own file. `sha256` covers the external data, too.
    `dimensions` are the sizes of the names that its dimensions have, which a runtime must fix in the graph. `file` is
    relative to the Build's folder: the user's own files are stored once for all of their Builds (`onnx_store`).
    """

    sha256: str
    opset: int
    exporter: str
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    dimensions: Mapping[str, int] = field(default_factory=dict)
    file: str = ONNX_FILE


@record(frozen=True, slots=True, kw_only=True)
class ExportError:
    """Why a model can't be exported to ONNX, with the exporter's traceback."""

    message: str
    traceback: str = ""


@record(frozen=True, slots=True, kw_only=True)
class Calling:
    """How a script's model is called, as `workers/calling.py` decided it.

    `grad_mode` is "inference_mode", "no_grad" or "grad". `renewed` are the inputs, attributes and buffers that a call
    changes, which are set back before each inference. `evaluating`: the model is set to eval(). `structure`
    and `place` find a model again whose hash isn't the same in each run.
    """

    grad_mode: str = "inference_mode"
    renewed: tuple[str, ...] = ()
    evaluating: bool = False
    structure: str = ""
    place: int = 0


@record(frozen=True, slots=True, kw_only=True)
class BuildFailure:
    """Why a model of a script can't be built, while others of the script can."""

    kind: str
    message: str
    hint: str = ""
    traceback: str = ""


@record(frozen=True, slots=True, kw_only=True)
class Build:
    """One model, built.

    `part` is its name among the models of a script, "" where it is the only one. `id` is a hash of the content, `hash`
    the model's own (8 hex digits: structure and signature). `reference` is what computed the expected outputs. `onnx`
    is None where no ONNX file was requested, or where the export failed with `onnx_error`. `max_depth` is how deep
    below the script's models it was found. `input_values` says where the values of each input come from. `notes` are
    what a reader of its figures should know about the model, a sentence each: what isn't valid in its file, which sizes
    were fixed. `spreads` say how far rounding moves each output, and the file `UNSTABLE_FILE`, if it exists, what
    rounding changes completely. `missing_variables` are environment variables that the script asked for in vain.
    `failure`: it is no build, though other models of its script have one. `files` are what it consists of, with their
    hashes.
    """

    id: str
    folder: Path
    model: Model
    part: str
    class_name: str
    hash: str
    inputs: tuple[TensorSpec, ...]
    signature: str
    parameters: int
    weights_sha256: str
    reference: str
    max_depth: int
    onnx: Onnx | None
    onnx_error: ExportError | None
    model_sha256: str
    input_values: tuple[InputValues, ...] = ()
    spreads: tuple[OutputSpread, ...] = ()
    input_set: str = ""
    sets: tuple[Build, ...] = ()
    notes: tuple[str, ...] = ()
    missing_variables: tuple[str, ...] = ()
    calling: Calling = Calling()
    failure: BuildFailure | None = None
    files: tuple[SealedFile, ...] = ()

    @property
    def name(self) -> str:
        """The model's name and, where its script has several, its own."""
        return f"{self.model.name}.{self.part}" if self.part else self.model.name

    @property
    def deterministic(self) -> bool:
        """Did the model compute the same when it was evaluated a second time?"""
        return not any(spread.random for spread in self.spreads)

    @property
    def onnx_file(self) -> Path | None:
        return Path(os.path.normpath(self.folder / self.onnx.file)) if self.onnx else None

    @property
    def reads(self) -> tuple[Path, ...]:
        """What a worker reads: the folders of all sets of inputs, that of its ONNX file, and custom operators."""
        onnx = [self.onnx_file.parent] if self.onnx_file else []
        read = [*(one.folder for one in self.every_set), *onnx, self.model.custom_op_library]
        return tuple(dict.fromkeys(path for path in read if path is not None))

    @property
    def inputs_file(self) -> Path:
        return self.folder / INPUTS_FILE

    @property
    def unstable_file(self) -> Path:
        return self.folder / UNSTABLE_FILE

    @property
    def expected_file(self) -> Path:
        return self.folder / EXPECTED_FILE

    @property
    def every_set(self) -> tuple[Build, ...]:
        """The builds of all sets of inputs, this one first."""
        return (self, *self.sets)

    def require(self) -> None:
        """Raises:
        ModelError: it couldn't be built.
        """
        if self.failure is not None:
            raise ModelError(
                self.failure.message,
                hint=self.failure.hint,
                details=self.failure.traceback,
                kind=Ending(self.failure.kind),
            )

    def verify(self, *, script: bool = False) -> None:
        """Hash its files, unless this process has hashed them and they haven't changed since; also its script.

        Raises:
            ChangedBuildError: one of them isn't as it was when it was made.
        """
        if found := evidence.problem(self):
            raise self._changed(found)
        if script and self.model.is_script and not evidence.is_same(self.model.path, self.model_sha256):
            raise ChangedBuildError(
                f"{self.model.path} has changed since it was built", hint="Repeat the command to rebuild it."
            )

    def verify_again(self) -> None:
        """The same for its files after a measurement: what is missing was removed after the worker had read it.

        Raises:
            ChangedBuildError: one of them was changed meanwhile.
        """
        if found := evidence.problem_since(self):
            raise self._changed(found)

    def _changed(self, found: str) -> ChangedBuildError:
        return ChangedBuildError(
            f"the build of {self.name} in {self.folder} isn't as it was made: {found}",
            hint="Repeat the command to rebuild it.",
        )

    def require_onnx(self) -> None:
        """Raises:
        ModelError: it has no ONNX file.
        """
        self.require()
        if self.onnx is None:
            error = self.onnx_error or ExportError(message="no export was made")
            raise ModelError(
                f"{self.name} can't be exported to ONNX: {error.message}",
                details=f"{error.traceback}\nlog: {self.folder / EXPORT_LOG_FILE}".strip(),
                hint="torch-eager and torch-compiled run the PyTorch module itself and need no export.",
                kind=Ending.EXPORT_FAILED,
            )

    def request(self) -> dict[str, Any]:
        """The model as a worker gets it (`model` in request.json)."""
        onnx = self.onnx
        return {
            "script": str(self.model.path.absolute()) if self.model.is_script else "",
            "script_args": list(self.model.script_args),
            "hash": self.hash,
            "max_depth": self.max_depth,
            "inputs_file": str(self.inputs_file),
            "inputs_files": [str(one.inputs_file) for one in self.every_set],
            "calling": asdict(self.calling),
            "onnx_inputs": [asdict(binding) for binding in onnx.inputs] if onnx else [],
            "onnx_outputs": [asdict(binding) for binding in onnx.outputs] if onnx else [],
            "onnx_dimensions": dict(onnx.dimensions) if onnx else {},
        }

    def to_json(self) -> dict[str, Any]:
        """The content of build.json and of the index; the model that the user named is not part of it."""
        value = asdict(replace(self, sets=()))
        value["sets"] = [one.to_json() for one in self.sets]
        del value["folder"], value["model"]
        return {"schema": SCHEMA, "name": self.name, **value}


def from_json(value: Mapping[str, Any], *, folder: Path, model: Model) -> Build:
    """The Build that `to_json` described, which is in `folder` now, for the requested `model`."""
    fields = {name: value[name] for name in Build.__slots__ if name not in {"folder", "model"}}
    fields["inputs"] = tuple(map(TensorSpec.from_json, fields["inputs"]))
    fields["input_values"] = tuple(map(InputValues.from_json, fields["input_values"]))
    fields["calling"] = Calling(**{**fields["calling"], "renewed": tuple(fields["calling"]["renewed"])})
    fields["failure"] = fields["failure"] and BuildFailure(**fields["failure"])
    fields["notes"] = tuple(fields["notes"])
    fields["missing_variables"] = tuple(fields["missing_variables"])
    fields["files"] = tuple(map(SealedFile.from_json, fields["files"]))
    fields["spreads"] = tuple(OutputSpread(**spread) for spread in fields["spreads"])
    fields["sets"] = tuple(
        from_json(one, folder=folder.with_name(str(one["id"])), model=model) for one in fields["sets"]
    )
    if fields["onnx_error"] is not None:
        fields["onnx_error"] = ExportError(**fields["onnx_error"])
    if fields["onnx"] is not None:
        onnx = fields["onnx"]
        fields["onnx"] = Onnx(**{**onnx, "inputs": bindings(onnx["inputs"]), "outputs": bindings(onnx["outputs"])})
    return Build(folder=folder, model=model, **fields)


def bindings(entries: Iterable[Mapping[str, str]]) -> tuple[Binding, ...]:
    """The bindings that JSON describes."""
    return tuple(Binding(name=entry["name"], source=entry["source"]) for entry in entries)


def content_id(folder: Path, *parts: str) -> str:
    """A Build's id: 16 hex digits over its parts, its inputs, its expected outputs, and what else is compared."""
    compared = [name for name in (INPUTS_FILE, EXPECTED_FILE, UNSTABLE_FILE) if (folder / name).exists()]
    content = (*parts, *(files.sha256(folder / name) for name in compared))
    return files.sha256_of("\n".join(content).encode())[:16]
