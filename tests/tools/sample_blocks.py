"""Blocks of samples during which nothing else used the machine."""

from __future__ import annotations

from typing import Any

from isobench.analysis.noise import Block

QUIET: dict[str, Any] = {
    "samples": 10,
    "iterations": 10,
    "started_s": 0.0,
    "wall_s": 0.1,
    "cpu_own_s": 0.1,
    "cpu_others_s": 0.0,
    "steal_s": 0.0,
    "throttled_s": 0.0,
    "involuntary_switches": 0,
    "minor_faults": 0,
    "major_faults": 0,
}
"""As a worker reports one."""


def quiet(samples: int, *, group: int = 1, **changes: Any) -> Block:
    """A quiet block of samples of `group` iterations each, with some changes."""
    return Block(**{**QUIET, "samples": samples, "iterations": samples * group, **changes})
