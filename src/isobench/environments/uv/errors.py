"""What uv's failures mean to the person who sees them, and what to do about each."""

from __future__ import annotations

import re
from typing import NamedTuple

_OTHER_DISK = "set ISOBENCH_HOME and UV_CACHE_DIR to folders on another disk"
_NAME_INDEX = (
    "name the index that has it: UV_INDEX, or UV_FIND_LINKS for a folder of wheels (pip's settings are honoured, too)"
)
_MINE_ONLY = "isobench's own locks are for Linux on x86-64 with glibc 2.28 or newer"


NO_TORCH = r"no version of (torch==[^\s,]*\+cpu)"
"""How uv says that the locked build of torch isn't there."""


class Meaning(NamedTuple):
    """`pattern` is looked for in what uv printed; `{0}` is its first group, the other names are `explain`'s."""

    pattern: str
    why: str
    hint: str


# The first that matches is told.
_MEANINGS = (
    Meaning(
        NO_TORCH,
        "no index set up here has {0}. The usual package index doesn't carry it; PyTorch's own index for CPU builds"
        " does, and can't be reached from here, or hasn't got it any more",
        "name a place that has it: PIP_FIND_LINKS=FOLDER for a folder of wheels, UV_INDEX=ADDRESS for an index or a"
        " mirror, UV_TORCH_BACKEND=cpu for PyTorch's own",
    ),
    Meaning(r"No space left on device", "the disk is full", f"free some space, or {_OTHER_DISK}"),
    Meaning(r"[Qq]uota exceeded", "the disk quota is used up", f"free some space, or {_OTHER_DISK}"),
    Meaning(
        r"Failed to initialize cache at `([^`]+)`",
        "uv's cache, {0}, can't be written to",
        "set UV_CACHE_DIR to a folder of yours",
    ),
    Meaning(
        r"Permission denied|Read-only file system",
        "a folder can't be written to",
        "set ISOBENCH_HOME and UV_CACHE_DIR to folders of yours",
    ),
    Meaning(
        r"Hash mismatch for `([^`]+)`",
        "the index serves another file for {0} than the one in the lock",
        "find out why before you trust it; if it's meant to be so, lock again: {relock}",
    ),
    Meaning(
        r"(?:Couldn't parse|Unexpected '|Unsupported)[^\n]*requirements\.in\b",
        "requirements.in can't be understood",
        "mend the line that uv names",
    ),
    Meaning(
        r"File not found: `?([^`\n]*requirements\.in)\b",
        "{0} isn't there",
        "write the packages that the environment is for into it, one a line",
    ),
    Meaning(
        r"Couldn't parse|Invalid hash|Unsupported hash|all requirements must have|Unexpected '",
        "the lock is damaged",
        "make it anew: {relock}",
    ),
    Meaning(
        r"Failed to read `--find-links` directory: (.+)",
        "the folder of wheels {0} can't be read",
        "mend the setting that names it: PIP_FIND_LINKS, UV_FIND_LINKS, pip.conf or uv.toml",
    ),
    Meaning(r"there (?:is|are) no versions? of ([\w.-]+==[^\s,]+)", "no index set up here has {0}", _NAME_INDEX),
    Meaning(r"[Bb]ecause ([\w.-]+) was not found", "no index set up here has {0}", _NAME_INDEX),
    Meaning(
        r"no wheels with a matching|has no usable wheels", "a locked package has no wheel for this machine", _MINE_ONLY
    ),
    Meaning(r"are unsatisfiable", "no versions satisfy all that is asked for", "{loosen}"),
    Meaning(
        r"invalid peer certificate|certificate verify failed|UnknownIssuer",
        "the certificate of the package index isn't trusted",
        "name your certificates: SSL_CERT_FILE",
    ),
    Meaning(
        r"dns error|tcp connect error|error sending request|timed out|Connection refused|Network (?:is|connectivity)",
        "the package index can't be reached",
        "check the network, the proxy and the index settings (PIP_INDEX_URL or UV_DEFAULT_INDEX)",
    ),
    Meaning(
        r"401 Unauthorized|403 Forbidden",
        "the package index refused access",
        "check the user name and the token in the index settings",
    ),
)


def explain(output: str, *, relock: str, loosen: str) -> tuple[str, str]:
    """Why uv failed, and what to do, from what it printed.

    `relock` is the command that makes the lock anew, `loosen` the advice for requirements that contradict each other.
    """
    for meaning in _MEANINGS:
        match = re.search(meaning.pattern, output)
        if match:
            return meaning.why.format(*match.groups()), meaning.hint.format(relock=relock, loosen=loosen)
    return "uv failed", "see what it printed"
