"""The messages that a worker sends while it runs: JSON objects, one per line, read in bounded parts."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from contextlib import suppress
from typing import Any

from isobench.workers.protocol import ProtocolError

MOST_LINE_BYTES = 1 << 20
"""A longer line is an error. The longest message of isobench's own workers has some hundred bytes."""

_PART_BYTES = 1 << 16
"""What is read at a time: as much as a pipe holds."""
_PAUSE_S = 0.01
"""The wait after a whole part. A worker that floods the pipe waits, too, instead of filling this process's memory."""


class Messages:
    """The messages that arrive at a pipe. What is no JSON object is ignored: a dying worker may leave half a line."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._unread: deque[dict[str, Any]] = deque()
        self._incomplete = b""

    def next(self) -> dict[str, Any] | None:
        """The oldest message that was received and not returned yet."""
        return self._unread.popleft() if self._unread else None

    def receive(self) -> bool:
        """Read what the pipe holds, call it when there is something to read; False: the other end is closed.

        Raises:
            ProtocolError: a line is too long.
        """
        part = os.read(self._descriptor, _PART_BYTES)
        *lines, self._incomplete = (self._incomplete + part).split(b"\n")
        if len(self._incomplete) > MOST_LINE_BYTES:
            raise ProtocolError(f"it sent a message of more than {MOST_LINE_BYTES:,} bytes")
        for line in lines:
            with suppress(ValueError, RecursionError):
                message = json.loads(line)
                self._unread.extend([message] if isinstance(message, dict) else [])
        if len(part) == _PART_BYTES:
            time.sleep(_PAUSE_S)
        return bool(part)
