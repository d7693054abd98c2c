"""A Build that nothing was made for."""

from __future__ import annotations

import os
from pathlib import Path

from isobench import paths
from isobench.builds.build import Binding, Build, ExportError, Onnx
from isobench.planning.models import Model, TensorSpec


def make(
    script: Path,
    *,
    onnx: bool = True,
    error: ExportError | None = None,
    id: str = "0123456789abcdef",  # noqa: A002 - as in Build
    onnx_file: Path | None = None,
) -> Build:
    artifact = Onnx(
        sha256="5" * 64,
        opset=20,
        exporter="dynamo",
        inputs=(Binding(name="x", source="args.0"),),
        outputs=(Binding(name="y", source="output"),),
        file=os.path.relpath(onnx_file, paths.builds() / id) if onnx_file else "model.onnx",
    )
    return Build(
        id=id,
        folder=paths.builds() / id,
        model=Model(path=script),
        part="",
        class_name="Net",
        hash="12ab34cd",
        inputs=(TensorSpec(name="args.0", dtype="float32", shape=(1, 3)),),
        signature="(float32[1, 3])",
        parameters=7,
        weights_sha256="1" * 64,
        reference="torch-eager",
        max_depth=0,
        onnx=artifact if onnx else None,
        onnx_error=error,
        model_sha256="2" * 64,
    )
