"""Files: written so that a reader sees the old content or the new one, and their SHA-256."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from isobench import paths

SMALL_BYTES = 1 << 18
"""Up to this size Python's own SHA-256 is quicker than to load OpenSSL's (4 ms)."""


def write_atomically(file: Path, content: str | bytes, *, durable: bool = False, private: bool = False) -> None:
    """Replace a file's content in one step; `durable` has it on the disk first, so that it survives a power cut.

    `private`: no other user may read it.

    Raises:
        OSError: it can't be written; then the old content is still there.
    """
    data = content.encode() if isinstance(content, str) else content
    # Two threads may write it at the same time. Its owner tells others whether it is a leftover.
    temporary = file.with_name(f"{file.name}.{paths.owner()}.{os.urandom(4).hex()}.tmp")
    try:
        if private:
            temporary.touch(0o600)
        temporary.write_bytes(data)
        if durable:
            sync(temporary)
        temporary.replace(file)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        sync(file.parent)


def write_json(file: Path, value: Any, *, durable: bool = False) -> None:
    """Replace a file's content by JSON, as `write_atomically` does.

    Raises:
        OSError: it can't be written.
        ValueError: a number isn't finite.
    """
    from isobench.workers import protocol

    write_atomically(file, protocol.json_bytes(value), durable=durable)


def sync(path: Path) -> None:
    """Have a file's content, or the names in a folder, on the disk.

    Raises:
        OSError: the disk failed.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # some network file systems can't do it with folders
            raise


def sha256(file: Path | str | int) -> str:
    """The SHA-256 of a file's content, as 64 hex digits; of a descriptor, which is closed.

    Raises:
        OSError: it isn't a regular file, or can't be read.
    """
    # Not Path.open, whose share shows where 20,000 files are hashed.
    with open(file, "rb", opener=_without_waiting) as stream:
        about = os.fstat(stream.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(file) if not isinstance(file, int) else None)
        if "hashlib" not in sys.modules and about.st_size <= SMALL_BYTES:
            return sha256_of(stream.read())
        import hashlib

        return hashlib.file_digest(stream, "sha256").hexdigest()


def _without_waiting(path: str, flags: int) -> int:
    """Open a file, even if it is a FIFO that nobody writes to."""
    return os.open(path, flags | os.O_NONBLOCK)


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
