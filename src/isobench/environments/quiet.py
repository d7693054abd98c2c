"""Variables for what runs in an environment: it calls nobody, and writes nothing outside of isobench's folders."""

from __future__ import annotations

import os
from contextlib import suppress

from isobench import paths

# Threads of ONNX Runtime's call its maker's host seconds after the first session, in the middle of whatever is
# measured; OpenVINO asks an analytics host. Both are silent in a job of Azure Pipelines, which TF_BUILD announces.
# (CI=true would do, but changes what torch compiles.)
SILENT = {"ORT_DISABLE_TELEMETRY": "1", "TF_BUILD": "True"}

_LONGEST = 64
"""Characters: multiprocessing makes sockets in the folder for temporary files, and their names have at most 107."""


def variables() -> dict[str, str]:
    """The variables; the folder for temporary files is created. A TMPDIR of the user's own stays."""
    found = SILENT | {
        "PYTHONDONTWRITEBYTECODE": "1",  # for Pythons that the worker starts: its own ignores it
        "MPLCONFIGDIR": str(paths.cache_of("matplotlib")),
        "NUMBA_CACHE_DIR": str(paths.cache_of("numba")),
        "CUDA_CACHE_PATH": str(paths.cache_of("cuda")),
    }
    temporary = paths.temporary()
    if not os.environ.get("TMPDIR") and len(os.fsencode(temporary)) <= _LONGEST:
        with suppress(OSError):
            temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
            found["TMPDIR"] = str(temporary)
    return found
