"""What rattler's failures mean to the person who sees them, and what to do about each."""

from __future__ import annotations

import re
from typing import NamedTuple

_REACH = (
    "check the network, the proxy and rattler's mirrors (~/.config/rattler/config.toml); without the channel,"
    " --provider venv"
)
_WAIT = f"to wait longer: ISOBENCH_CHANNEL_TIMEOUT=300; or {_REACH}"
_DISTRUST = "find out why before you trust it; if it's meant to be so, lock again: {relock}"
_OTHER_DISK = "free some space, or set ISOBENCH_HOME to a folder on another disk"


class Meaning(NamedTuple):
    """`kind` is the exception's name and `pattern` is looked for in its text; `{0}` is its first group."""

    kind: str
    pattern: str
    why: str
    hint: str


# The first that matches is told. In hints, {relock} is the command that makes the lock anew.
_MEANINGS = (
    Meaning(
        "ModuleNotFoundError",
        r"conda_lock|yaml|pydantic",
        "conda-lock, by which locks are written, isn't installed",
        'pip install "isobench[lock]"',
    ),
    Meaning("timeout", r"(.+)", "{0}: the channel hangs, or is very slow", _WAIT),
    Meaning("crash", r"(.+)", "{0}", "try again; if it happens again, the log says more"),
    Meaning("LockError", r"(.+)", "the lock is {0}", "make it anew: {relock}"),
    Meaning("SpecError", r"(.+)", "{0}", "mend {spec}"),
    Meaning(
        "MachineError",
        r"(.*__cuda.*)",
        "{0}",
        "it takes an NVIDIA driver; CONDA_OVERRIDE_CUDA=12.9 lays it down without one, to be used elsewhere",
    ),
    Meaning("MachineError", r"(.+)", "{0}", "it was locked for a newer system; lock it on this one: {relock}"),
    Meaning("HashMismatchError", r"(.+)", "the channel has another file than the one in the lock: {0}", _DISTRUST),
    Meaning(
        "SolverError",
        r"__cuda",
        "no packages satisfy all that is asked for: there is no __cuda, an NVIDIA driver",
        "to lock for a machine that has one: CONDA_OVERRIDE_CUDA=12.9 {relock}",
    ),
    Meaning("SolverError", r"", "no packages satisfy all that is asked for", "loosen what the solver names, in {spec}"),
    Meaning("InvalidMatchSpecError", r"(.+)", "a dependency can't be understood: {0}", "mend {spec}"),
    Meaning("", r"[Hh]ash mismatch|hash of", "the channel serves another file than the one in the lock", _DISTRUST),
    Meaning("", r"No space left on device", "the disk is full", _OTHER_DISK),
    Meaning("", r"[Qq]uota exceeded", "the disk quota is used up", _OTHER_DISK),
    Meaning(
        "",
        r"Permission denied|Read-only file system",
        "a folder can't be written to, or a file not read",
        "set ISOBENCH_HOME to a folder of yours",
    ),
    Meaning(
        "",
        r"401 Unauthorized|403 Forbidden",
        "the channel refused access",
        "give rattler your credentials: RATTLER_AUTH_FILE",
    ),
    Meaning(
        "",
        r"404 Not Found",
        "the channel hasn't got it (404)",
        "check the channel's address; if a package was withdrawn, lock again: {relock}",
    ),
    Meaning(
        "",
        r"could not find subdir '([^']+)' in channel '([^']+)'",
        "there is no channel at {1}: it has no {0}",
        "check the channel's address",
    ),
    Meaning("", r"operation timed out|deadline has elapsed", "the channel didn't answer in time", _WAIT),
    Meaning(
        "",
        r"dns error|Connection refused|tcp connect error|error sending request|Request failed after",
        "the channel can't be reached",
        _REACH,
    ),
    Meaning(
        "",
        r"No such file or directory",
        "a file of the channel isn't there",
        "check the channel's address; if it was moved, lock again: {relock}",
    ),
    Meaning(
        "",
        r"unexpected end|UnexpectedEof|early eof|end of file|invalid Zip|incomplete|error decoding response body",
        "an archive is cut short",
        "try again; if it stays so, the channel's copy is damaged",
    ),
)


def explain(kind: str, message: str, *, relock: str = "", spec: str = "environment.yml") -> tuple[str, str]:
    """Why rattler failed, and what to do, from the exception's name and its text."""
    for meaning in _MEANINGS:
        match = re.search(meaning.pattern, message) if meaning.kind in {"", kind} else None
        if match:
            return meaning.why.format(*match.groups()), meaning.hint.format(relock=relock, spec=spec)
    return "rattler failed", "see what it said"
