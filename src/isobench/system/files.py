"""Files: written so that a reader sees the old content or the new one, and their SHA-256."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

SMALL_BYTES = 1 << 18
"""Up to this size Python's own SHA-256 is quicker than to load OpenSSL's (4 ms)."""


def write_atomically(file: Path, content: str | bytes, *, durable: bool = False) -> None:
    """Replace a file's content in one step; `durable` has it on the disk first, so that it survives a power cut.

    Raises:
        OSError: it can't be written; then the old content is still there.
    """
    data = content.encode() if isinstance(content, str) else content
    # Two hosts that share the folder, or two threads, may write it at the same time: a process ID isn't unique.
    temporary = file.with_name(f"{file.name}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        _sync_folder(file.parent)


def sha256(file: Path | str) -> str:
    """The SHA-256 of a file's content, as 64 hex digits.

    Raises:
        OSError: it can't be read.
    """
    # Not Path.open, whose share shows where 20,000 files are hashed.
    with open(file, "rb") as stream:  # noqa: PTH123
        if "hashlib" not in sys.modules and os.fstat(stream.fileno()).st_size <= SMALL_BYTES:
            return sha256_of(stream.read())
        import hashlib

        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of(content: bytes) -> str:
    """The SHA-256 of some bytes, as 64 hex digits; without loading OpenSSL for a few of them.

    What is hashed before the worker starts (locks, keys) is small, and users wait for it.
    """
    if "hashlib" not in sys.modules and len(content) <= SMALL_BYTES and (ours := _own_sha256()) is not None:
        digest: str = ours(content).hexdigest()
        return digest
    import hashlib

    return hashlib.sha256(content).hexdigest()


@cache
def _own_sha256() -> Callable[[bytes], Any] | None:
    """Python's own SHA-256, which needs no OpenSSL."""
    for name in ("_sha2", "_sha256"):  # of Python 3.12, and before
        with suppress(ImportError):
            found: Callable[[bytes], Any] = import_module(name).sha256
            return found
    return None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
