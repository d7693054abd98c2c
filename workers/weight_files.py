"""Files that native code may have read unseen: those that look like weights, and those that a script names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

# fmt: off
SUFFIXES = (
    ".safetensors", ".pt", ".pth", ".pt2", ".ptl", ".ts", ".jit", ".torchscript", ".bin", ".ckpt",
    ".h5", ".hdf5", ".keras", ".gguf", ".ggml", ".model", ".tflite", ".so",
    ".db", ".sqlite", ".mdb", ".arrow", ".parquet",
)
# fmt: on

DEPTH = 2
MOST_ENTRIES = 20_000
_LITERAL = re.compile(r"""["']([^"'\n]{1,300})["']""")
_NOT_ENTERED = {"__pycache__", "node_modules", "site-packages", "dist-packages"}


def looks_like_weights(name: str) -> bool:
    """By its suffix."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def near(folders: Iterable[str]) -> Iterator[str]:
    """The files that look like weights in the folders and, to a small depth, below.

    Hidden folders and environments aren't entered, and after `MOST_ENTRIES` entries the search ends.
    """
    left = MOST_ENTRIES
    waiting = [(folder, 0) for folder in dict.fromkeys(folders)]
    while waiting and left > 0:
        folder, depth = waiting.pop(0)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        left -= len(entries)
        if any(entry.name in {"pyvenv.cfg", "CACHEDIR.TAG"} for entry in entries):
            continue
        for entry in entries:
            if entry.is_dir():
                if depth < DEPTH and not entry.name.startswith(".") and entry.name not in _NOT_ENTERED:
                    waiting.append((entry.path, depth + 1))
            elif looks_like_weights(entry.name):
                yield entry.path


def literals(source: str) -> set[str]:
    """The short strings of a Python source, quoted either way."""
    return set(_LITERAL.findall(source))


def named(texts: Iterable[str], folders: Iterable[str]) -> Iterator[str]:
    """Paths that texts name, relative to one of the folders.

    Those are files; in folders, files that look like weights; and names that look like weights, though no such file
    exists.
    """
    places = list(dict.fromkeys(folders))
    for text in dict.fromkeys(texts):
        if "\0" in text or not text.strip(". /"):
            continue
        for folder in places:
            path = os.path.join(folder, os.path.expanduser(text))
            path = os.path.realpath(path) if ".." in path else os.path.normpath(path)
            if os.path.isdir(path):
                if path not in places:
                    yield from near([path])
            elif os.path.isfile(path) or looks_like_weights(path):
                yield path
