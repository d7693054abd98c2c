"""ONNX files, and names of files, that somebody made to do harm; each with the ending that it must have."""

from __future__ import annotations

import hostile_files
import hostile_graphs
import hostile_values
from hostile_registry import HOSTILE, REFUSED, Hostile

__all__ = ["HOSTILE", "REFUSED", "Hostile"]

DECLARED_IN = (hostile_values, hostile_graphs, hostile_files)
"""They declare the files when they are imported."""
