"""In the child: writes events to the host's pipe. `child` documents the format."""

from __future__ import annotations

import json
import os
import threading
from typing import Any


class EventWriter:
    """Writes one event per line to a pipe; safe to use from several threads."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def write(self, **event: Any) -> None:
        """Write one event; with no members it is a sign of life."""
        with self._lock:
            # A line may be longer than what a pipe takes at once.
            line = json.dumps(event).encode() + b"\n"
            while line:
                line = line[os.write(self._descriptor, line) :]
