"""ONNX Runtime's own file format, `.ort`: a graph that it has already optimised. A build stores it as `model.onnx`."""

from __future__ import annotations

import os

import onnxruntime

IDENTIFIER = b"ORTM"


def is_ort_format(file: str | os.PathLike[str]) -> bool:
    """Whether the file has that format, by its content."""
    with open(file, "rb") as content:
        return content.read(8)[4:] == IDENTIFIER


def accept(options: onnxruntime.SessionOptions, file: str) -> None:
    """Have a session with these options read the file in the format that it has, whatever its name."""
    if is_ort_format(file):
        options.add_session_config_entry("session.load_model_format", "ORT")
