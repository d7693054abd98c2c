"""Reads files that isobench didn't write itself: regular ones of a limited size, so that nothing blocks or never ends.

What can't be read is an `OSError`, what has a wrong content a `ValueError`; no parser raises anything else here.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from isobench.workers import protocol

MOST_BYTES = 64 << 20


def exists(path: Path | str) -> bool:
    """Is there such a file or folder? A name that is too long, or has a NUL, is none; pathlib raises errors."""
    return os.path.exists(path)  # noqa: PTH110


def is_folder(path: Path | str) -> bool:
    """Is there such a folder? See `exists`."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path | str) -> bool:
    """Is there such a regular file? See `exists`."""
    return os.path.isfile(path)  # noqa: PTH113


def read_bytes(file: Path | str, *, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of a regular file of at most `most_bytes`.

    Raises:
        OSError: it can't be read, isn't a regular file, or is larger.
    """
    try:
        return protocol.read_bytes(file, most_bytes=most_bytes)
    except ValueError as error:  # a ProtocolError; or a NUL in the name
        raise OSError(errno.EINVAL, str(error).removeprefix(f"{file} "), str(file)) from None


def read_text(file: Path | str, *, errors: str = "strict", most_bytes: int = MOST_BYTES) -> str:
    r"""The text of a file in UTF-8, without the mark that some editors write in front (BOM); newlines are `\n`.

    Raises:
        OSError: see `read_bytes`.
        UnicodeDecodeError: it isn't UTF-8, and `errors` is "strict".
    """
    text = read_bytes(file, most_bytes=most_bytes).decode("utf-8-sig", errors)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def read_toml(file: Path | str) -> dict[str, Any]:
    """The table in a TOML file.

    Raises:
        OSError: see `read_bytes`.
        ValueError: it isn't TOML, or is nested too deeply.
    """
    return parse_toml(read_text(file))


def parse_toml(text: str) -> dict[str, Any]:
    """The table of a TOML text.

    Raises:
        ValueError: it isn't TOML (a TOMLDecodeError), or is nested too deeply.
    """
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(file: Path | str) -> Any:
    """The value in a JSON file.

    Raises:
        OSError: see `read_bytes`.
        ValueError: it isn't JSON, or is nested too deeply.
    """
    import json

    content = read_bytes(file)
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
