"""Tools: the steps that a Model goes through, and the Sequences that are made of them."""

from __future__ import annotations

from isobench.tools.base import State, Tool, Work
from isobench.tools.sequence import Sequence

__all__ = ["Sequence", "State", "Tool", "Work"]
