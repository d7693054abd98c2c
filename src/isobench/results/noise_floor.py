"""This machine's noise floor: how far identical runs differ. Assumed until `isobench calibrate` has measured it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from isobench import codec, paths
from isobench.analysis.intervals import ASSUMED_FLOOR
from isobench.analysis.ratios import ASSUMED_PAIR_FLOOR
from isobench.constraints import Deviation
from isobench.record import record
from isobench.system import files
from isobench.workers import protocol

SCHEMA = "isobench.calibration/1"
_MACHINES: Any = Mapping[str, Any]


@record(frozen=True, slots=True, kw_only=True)
class Floor:
    """Relative standard deviations: `runs` between identical runs, `pairs` between the ratios of identical pairs.

    `source` says where they are from, in words.
    """

    runs: Deviation
    pairs: Deviation
    source: str


def floor() -> Floor:
    """This machine's noise floor, measured or assumed."""
    file, source = paths.calibration(), "assumed"
    try:
        known = _machines(file).get(_machine())
        if known is not None:
            found: Floor = codec.decode(Floor, known, "floor")
            return found
    except FileNotFoundError:
        pass
    except OSError as error:
        source = f"assumed, because {file} can't be read: {error.strerror}"
    except ValueError as error:
        source = f"assumed, because {file} is corrupted: {error}"
    return Floor(runs=ASSUMED_FLOOR, pairs=ASSUMED_PAIR_FLOOR, source=f"{source}; to measure it: isobench calibrate")


def save(found: Floor) -> None:
    """Store this machine's noise floor for later runs."""
    from isobench.system.locks import FileLock

    file = paths.calibration()
    # Otherwise, of two machines that share the file and save at the same time, one would lose its floor.
    with FileLock(file.with_name(f"{file.name}.lock"), what="the calibration"):
        _save(file, found)


def _save(file: Path, found: Floor) -> None:
    try:
        known = _machines(file)
    except (OSError, ValueError):
        known = {}
    files.write_json(file, {"schema": SCHEMA, "machines": known | {_machine(): asdict(found)}}, durable=True)


def _machines(file: Path) -> dict[str, Any]:
    """What is stored of each machine.

    Raises:
        OSError: the file can't be read.
        ValueError: it is no calibration.
    """
    machines: dict[str, Any] = codec.decode(_MACHINES, protocol.read_json(file, SCHEMA).get("machines"), "machines")
    return machines


def _machine() -> str:
    """Several machines may share the folder that holds the calibration."""
    system = os.uname()
    return f"{system.nodename} {system.machine}"
