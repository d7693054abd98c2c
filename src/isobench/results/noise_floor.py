"""This machine's own noise floor: how far identical runs differ. Assumed until `isobench calibrate` has run."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

from isobench import paths
from isobench.analysis import ASSUMED_FLOOR, ASSUMED_PAIR_FLOOR
from isobench.workers import protocol

SCHEMA = "isobench.calibration/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Relative standard deviations, and where they are from, in words.

    `runs` is between identical runs; `pairs` between the ratios of identical processes that take turns (1 each).
    """

    runs: float
    pairs: float
    source: str


def floor() -> Floor:
    """What is known of this machine."""
    try:
        value = protocol.read_json(paths.calibration(), SCHEMA)
        return Floor(**value["machines"][_machine()])
    except (FileNotFoundError, protocol.ProtocolError, KeyError, TypeError):
        return Floor(runs=ASSUMED_FLOOR, pairs=ASSUMED_PAIR_FLOOR, source="assumed: isobench calibrate measures it")


def remember(found: Floor) -> None:
    """Keep this machine's floor for later runs."""
    file = paths.calibration()
    try:
        known = dict(protocol.read_json(file, SCHEMA)["machines"])
    except (FileNotFoundError, protocol.ProtocolError, KeyError, TypeError):
        known = {}
    file.parent.mkdir(parents=True, exist_ok=True)
    protocol.write_json(file, {"schema": SCHEMA, "machines": known | {_machine(): asdict(found)}})


def _machine() -> str:
    """A home may lie on a disk that several machines share."""
    system = os.uname()
    return f"{system.nodename} {system.machine}"
