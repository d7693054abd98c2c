"""Samples -> figures (`summary`), intervals (`intervals`), and how far they can be trusted (`blocks`)."""

from __future__ import annotations

from isobench.statistics.blocks import Block, Selection, Verdict, select, used_samples, verdict
from isobench.statistics.intervals import ASSUMED_FLOOR, Interval, intervals
from isobench.statistics.summary import Summary, quantile, summarize

__all__ = [
    "ASSUMED_FLOOR", "Block", "Interval", "Selection", "Summary", "Verdict", "intervals", "quantile", "select",
    "summarize", "used_samples", "verdict",
]  # fmt: skip
