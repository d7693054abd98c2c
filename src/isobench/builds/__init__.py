"""Builds: made of a Model once, so that every runtime gets the same ONNX file, inputs and expected outputs."""

from __future__ import annotations

from isobench.builds.build import Binding, Build, Onnx
from isobench.builds.cache import Dependency
from isobench.builds.make import find, find_or_make, make

__all__ = ["Binding", "Build", "Dependency", "Onnx", "find", "find_or_make", "make"]
