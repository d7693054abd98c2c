"""The child's voice: see `child` for what it says."""

from __future__ import annotations

import json
import os
import threading
from typing import Any


class Teller:
    """Tells the host of progress, from whichever thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def __call__(self, **message: Any) -> None:
        with self._lock:
            # A line may be longer than what a pipe takes at once.
            line = json.dumps(message).encode() + b"\n"
            while line:
                line = line[os.write(self._descriptor, line) :]
