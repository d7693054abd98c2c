"""Which files a script depends on: its own modules, and those that it opens while it runs."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))


class Files:
    """Records the files that a script opens."""

    def __init__(self, script: str) -> None:
        self._script = os.path.abspath(script)
        self._folder = os.path.dirname(self._script)
        self._opened: dict[str, None] = {}
        self._recording = False

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record while the script runs."""
        sys.addaudithook(self._audit)
        self._recording = True
        try:
            yield
        finally:
            self._recording = False

    def dependencies(self) -> list[dict[str, str]]:
        """The script, the modules of its folder, and the files that it read, each with its present hash."""
        found = {self._script: None}
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and file.startswith(self._folder + os.sep) and not _is_foreign(file):
                found[file] = None
        found |= {path: None for path in self._opened if not _is_foreign(path)}
        entries = []
        for path in found:
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                entries.append({"path": path, "sha256": hashlib.file_digest(file, "sha256").hexdigest()})
        return entries

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Record a file that is opened for reading. An audit hook can't be removed, so it is switched off instead."""
        if not self._recording or event != "open":
            return
        path, mode, flags = args
        writes = set(mode) & set("wax+") if isinstance(mode, str) else flags & (os.O_WRONLY | os.O_RDWR)
        if isinstance(path, str | bytes) and not writes:
            self._opened[os.path.abspath(os.fsdecode(path))] = None


def _is_foreign(path: str) -> bool:
    """Does it belong to the environment, to Python, to /proc, /sys or /dev, or to torch's own caches?"""
    cache = os.environ.get("TORCHINDUCTOR_CACHE_DIR", "/nowhere")
    own = (sys.prefix, sys.base_prefix, _HERE, os.path.dirname(cache), "/proc", "/sys", "/dev")
    return path.endswith(".pyc") or path.startswith(tuple(folder.rstrip(os.sep) + os.sep for folder in own))
