"""Results: the outcome of a Case, with everything that is needed to judge it and to repeat it.

A Result is written as soon as its Case has ended, and never changed. `records` declares its parts, `store` reads and
writes it (`isobench.codec` checks it), `upgrades` reads earlier schemas, `compare` compares two. A `row.Row` is a
Result in brief; `index` holds those of a whole folder.
"""

from __future__ import annotations

from isobench.analysis.warmup import Warmup
from isobench.results.records import (
    SCHEMA,
    ColdStart,
    DeviceRecord,
    EnvironmentRecord,
    Failed,
    Measured,
    ModelRecord,
    Provenance,
    Result,
    Run,
    RuntimeRecord,
    Turns,
)
from isobench.results.store import (
    RESULT_FILE,
    SavedResult,
    files,
    folder_of,
    load,
    load_all,
    remove,
    run_folder,
    samples_ns,
    save,
)

__all__ = [
    "RESULT_FILE",
    "SCHEMA",
    "ColdStart",
    "DeviceRecord",
    "EnvironmentRecord",
    "Failed",
    "Measured",
    "ModelRecord",
    "Provenance",
    "Result",
    "Run",
    "RuntimeRecord",
    "SavedResult",
    "Turns",
    "Warmup",
    "files",
    "folder_of",
    "load",
    "load_all",
    "remove",
    "run_folder",
    "samples_ns",
    "save",
]
