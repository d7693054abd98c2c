"""Samples -> figures: `summary`, `intervals`, `ratios`; how far to trust them: `noise`, `gpu_noise`, `correctness`."""

from __future__ import annotations

from isobench.analysis.gpu_noise import GpuBlock, GpuSummary, summarize_gpu
from isobench.analysis.intervals import ASSUMED_FLOOR, Interval, intervals
from isobench.analysis.noise import LEAST_CLEAN, Block, Selection, Verdict, select, used_samples, verdict
from isobench.analysis.ratios import ASSUMED_PAIR_FLOOR, Ratio, middle, paired, unpaired
from isobench.analysis.summary import Summary, quantile, summarize
from isobench.analysis.warmup import Warmup

__all__ = [
    "ASSUMED_FLOOR",
    "ASSUMED_PAIR_FLOOR",
    "LEAST_CLEAN",
    "Block",
    "GpuBlock",
    "GpuSummary",
    "Interval",
    "Ratio",
    "Selection",
    "Summary",
    "Verdict",
    "Warmup",
    "intervals",
    "middle",
    "paired",
    "quantile",
    "select",
    "summarize",
    "summarize_gpu",
    "unpaired",
    "used_samples",
    "verdict",
]
