"""What uv's errors mean, and what to do about each."""

from __future__ import annotations

import re
from typing import NamedTuple

_OTHER_DISK = "set ISOBENCH_HOME and UV_CACHE_DIR to folders on another disk."
_NAME_INDEX = "Set UV_INDEX to an index that has it, or UV_FIND_LINKS to a folder of wheels (pip's settings work, too)."
_PLATFORM = "isobench's own locks are for Linux on x86-64 with glibc 2.28 or newer."


NO_TORCH = r"no version of (torch==[^\s,]*\+cpu)"
"""uv's message if no index has the locked build of torch."""


class Meaning(NamedTuple):
    """`pattern` is searched in uv's output; `{0}` is its first group, the other names are parameters of `explain`."""

    pattern: str
    why: str
    hint: str


# The first that matches wins.
_MEANINGS = (
    Meaning(
        NO_TORCH,
        "no configured index has {0}. The default index doesn't have it; PyTorch's own index for CPU builds is"
        " unreachable, or no longer has it",
        "Set PIP_FIND_LINKS to a folder of wheels that has it, UV_INDEX to an index or a mirror, or"
        " UV_TORCH_BACKEND=cpu for PyTorch's own index.",
    ),
    Meaning(r"No space left on device", "the disk is full", f"Free some space, or {_OTHER_DISK}"),
    Meaning(r"[Qq]uota exceeded", "the disk quota is exceeded", f"Free some space, or {_OTHER_DISK}"),
    Meaning(
        r"Failed to initialize cache at `([^`]+)`",
        "uv's cache {0} isn't writable",
        "Set UV_CACHE_DIR to a folder that you can write to.",
    ),
    Meaning(
        r"Permission denied|Read-only file system",
        "a folder isn't writable",
        "Set ISOBENCH_HOME and UV_CACHE_DIR to folders that you can write to.",
    ),
    Meaning(
        r"Hash mismatch for `([^`]+)`",
        "hash mismatch: the index has another file for {0} than the lock",
        "Find out why before you trust it. If the change is intended, lock again: {relock}",
    ),
    Meaning(
        r"(?:Couldn't parse|Unexpected '|Unsupported)[^\n]*requirements\.in\b",
        "requirements.in can't be parsed",
        "Fix the line that uv names.",
    ),
    Meaning(
        r"File not found: `?([^`\n]*requirements\.in)\b",
        "{0} does not exist",
        "Create it, with one package per line.",
    ),
    Meaning(
        r"Couldn't parse|Invalid hash|Unsupported hash|all requirements must have|Unexpected '",
        "the lock is damaged",
        "Resolve it again: {relock}",
    ),
    Meaning(
        r"Failed to read `--find-links` directory: (.+)",
        "the folder of wheels {0} can't be read",
        "Fix the setting that names it: PIP_FIND_LINKS, UV_FIND_LINKS, pip.conf or uv.toml.",
    ),
    Meaning(r"there (?:is|are) no versions? of ([\w.-]+==[^\s,]+)", "no configured index has {0}", _NAME_INDEX),
    Meaning(r"[Bb]ecause ([\w.-]+) was not found", "no configured index has {0}", _NAME_INDEX),
    Meaning(
        r"no wheels with a matching|has no usable wheels", "a locked package has no wheel for this machine", _PLATFORM
    ),
    Meaning(r"are unsatisfiable", "no versions satisfy all requirements", "{loosen}"),
    Meaning(
        r"invalid peer certificate|certificate verify failed|UnknownIssuer",
        "the certificate of the package index isn't trusted",
        "Set SSL_CERT_FILE to your certificates.",
    ),
    Meaning(
        r"dns error|tcp connect error|error sending request|timed out|Connection refused|Network (?:is|connectivity)",
        "the package index is unreachable",
        "Check the network, the proxy and the index settings (PIP_INDEX_URL or UV_DEFAULT_INDEX).",
    ),
    Meaning(
        r"401 Unauthorized|403 Forbidden",
        "the package index denied access",
        "Check the user name and the token in the index settings.",
    ),
)


def explain(output: str, *, relock: str, loosen: str) -> tuple[str, str]:
    """Why uv failed, and what to do, from what it printed.

    `relock` is the command that resolves the lock again, `loosen` the hint for requirements that contradict each other.
    """
    for meaning in _MEANINGS:
        match = re.search(meaning.pattern, output)
        if match:
            return meaning.why.format(*match.groups()), meaning.hint.format(relock=relock, loosen=loosen)
    return "uv failed", "See its output above."
