"""Tools: the steps that are applied to a Model, and Sequences of them."""

from __future__ import annotations

from isobench.tools.base import State, Tool, Work
from isobench.tools.sequence import Sequence

__all__ = ["Sequence", "State", "Tool", "Work"]
