"""Results: the outcome of a Case, with everything that is needed to judge it and to repeat it.

A Result is written as soon as its Case has ended, and never changed. `records` declares its parts, `saving` writes it,
`store` finds and reads it (`isobench.codec` checks it), `upgrades` reads earlier schemas, `compare` compares two. A
`row.Row` is a Result in brief; `index` holds those of a whole folder.
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
from isobench.results.saving import as_bytes, save, save_together
from isobench.results.store import (
    RESULT_FILE,
    UNFINISHED,
    SavedResult,
    files,
    folder_of,
    load,
    load_all,
    names,
    remove,
    run_folder,
    samples_ns,
)

__all__ = [
    "RESULT_FILE",
    "SCHEMA",
    "UNFINISHED",
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
    "as_bytes",
    "files",
    "folder_of",
    "load",
    "load_all",
    "names",
    "remove",
    "run_folder",
    "samples_ns",
    "save",
    "save_together",
]
