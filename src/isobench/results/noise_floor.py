"""This machine's noise floor: how far identical runs differ. Assumed until `isobench calibrate` has measured it."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from isobench import paths
from isobench.analysis.intervals import ASSUMED_FLOOR
from isobench.analysis.ratios import ASSUMED_PAIR_FLOOR
from isobench.record import record
from isobench.workers import protocol

SCHEMA = "isobench.calibration/1"


@record(frozen=True, slots=True, kw_only=True)
class Floor:
    """Relative standard deviations: `runs` between identical runs, `pairs` between the ratios of identical pairs.

    `source` says where they are from, in words.
    """

    runs: float
    pairs: float
    source: str


def floor() -> Floor:
    """This machine's noise floor, measured or assumed."""
    try:
        value = protocol.read_json(paths.calibration(), SCHEMA)
        return Floor(**value["machines"][_machine()])
    except (FileNotFoundError, protocol.ProtocolError, KeyError, TypeError):
        return Floor(runs=ASSUMED_FLOOR, pairs=ASSUMED_PAIR_FLOOR, source="assumed; to measure it: isobench calibrate")


def save(found: Floor) -> None:
    """Store this machine's noise floor for later runs."""
    from isobench.system.locks import FileLock

    file = paths.calibration()
    # Otherwise, of two machines that share the file and save at the same time, one would lose its floor.
    with FileLock(file.with_name(f"{file.name}.lock"), what="the calibration"):
        _save(file, found)


def _save(file: Path, found: Floor) -> None:
    try:
        known = dict(protocol.read_json(file, SCHEMA)["machines"])
    except (FileNotFoundError, protocol.ProtocolError, KeyError, TypeError):
        known = {}
    protocol.write_json(file, {"schema": SCHEMA, "machines": known | {_machine(): asdict(found)}})


def _machine() -> str:
    """Several machines may share the folder that holds the calibration."""
    system = os.uname()
    return f"{system.nodename} {system.machine}"
