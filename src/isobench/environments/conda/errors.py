"""What rattler's errors mean, and what to do about each."""

from __future__ import annotations

import re
from typing import NamedTuple

_REACH = (
    "check the network, the proxy and rattler's mirrors (~/.config/rattler/config.toml), or do without the channel:"
    " --provider venv"
)
_WAIT = f"Wait longer with ISOBENCH_CHANNEL_TIMEOUT=300, or {_REACH}"
_DISTRUST = "Find out why before you trust it. If the change is intended, lock again: {relock}"
_OTHER_DISK = "Free some space, or set ISOBENCH_HOME to a folder on another disk."


_REACH_ALONE = _REACH[:1].upper() + _REACH[1:]


class Meaning(NamedTuple):
    """`kind` is the exception's name, `pattern` is searched in its text; `{0}` is its first group."""

    kind: str
    pattern: str
    why: str
    hint: str


# The first that matches wins. In hints, {relock} is the command that resolves the lock again.
_MEANINGS = (
    Meaning(
        "ModuleNotFoundError",
        r"conda_lock|yaml|pydantic",
        "conda-lock, which writes the locks, isn't installed",
        'Install it: pip install "isobench[lock]"',
    ),
    Meaning("timeout", r"(.+)", "conda channel unreachable: {0}", _WAIT),
    Meaning("crash", r"(.+)", "{0}", "Try again; if it happens again, see the log."),
    Meaning("LockError", r"(.+)", "the lock is {0}", "Resolve it again: {relock}"),
    Meaning("SpecError", r"(.+)", "{0}", "Fix {spec}."),
    Meaning(
        "MachineError",
        r"(.*__cuda.*)",
        "{0}",
        "It needs an NVIDIA driver. To install it without one, for another machine, set CONDA_OVERRIDE_CUDA=12.9.",
    ),
    Meaning("MachineError", r"(.+)", "{0}", "It was locked for a newer system; lock it on this one: {relock}"),
    Meaning("HashMismatchError", r"(.+)", "hash mismatch: {0}", _DISTRUST),
    Meaning(
        "SolverError",
        r"__cuda",
        "no packages satisfy all requirements: __cuda (an NVIDIA driver) is missing",
        "Lock for a machine that has one: CONDA_OVERRIDE_CUDA=12.9 {relock}",
    ),
    Meaning(
        "SolverError",
        r"",
        "no packages satisfy all requirements",
        "Loosen the requirements that the solver names, in {spec}.",
    ),
    Meaning("InvalidMatchSpecError", r"(.+)", "a dependency can't be parsed: {0}", "Fix {spec}."),
    Meaning("", r"[Hh]ash mismatch|hash of", "hash mismatch: the channel has another file than the lock", _DISTRUST),
    Meaning("", r"No space left on device", "the disk is full", _OTHER_DISK),
    Meaning("", r"[Qq]uota exceeded", "the disk quota is exceeded", _OTHER_DISK),
    Meaning(
        "",
        r"Permission denied|Read-only file system",
        "a folder isn't writable, or a file isn't readable",
        "Set ISOBENCH_HOME to a folder that you can write to.",
    ),
    Meaning(
        "",
        r"401 Unauthorized|403 Forbidden",
        "the conda channel denied access",
        "Give rattler your credentials: RATTLER_AUTH_FILE",
    ),
    Meaning(
        "",
        r"404 Not Found",
        "the conda channel doesn't have a file (404)",
        "Check the channel's address. If a package was withdrawn, lock again: {relock}",
    ),
    Meaning(
        "",
        r"could not find subdir '([^']+)' in channel '([^']+)'",
        "there is no conda channel at {1}: it has no {0}",
        "Check the channel's address.",
    ),
    Meaning("", r"operation timed out|deadline has elapsed", "conda channel unreachable: no answer in time", _WAIT),
    Meaning(
        "",
        r"dns error|Connection refused|tcp connect error|error sending request|Request failed after",
        "conda channel unreachable",
        _REACH_ALONE,
    ),
    Meaning(
        "",
        r"No such file or directory",
        "a file of the conda channel does not exist",
        "Check the channel's address. If it was moved, lock again: {relock}",
    ),
    Meaning(
        "",
        r"unexpected end|UnexpectedEof|early eof|end of file|invalid Zip|incomplete|error decoding response body",
        "an archive is truncated",
        "Try again. If it happens again, the channel's copy is damaged.",
    ),
)


def explain(kind: str, message: str, *, relock: str = "", spec: str = "environment.yml") -> tuple[str, str]:
    """Why rattler failed, and what to do, from the exception's name and its text."""
    for meaning in _MEANINGS:
        match = re.search(meaning.pattern, message) if meaning.kind in {"", kind} else None
        if match:
            return meaning.why.format(*match.groups()), meaning.hint.format(relock=relock, spec=spec)
    return "rattler failed", "See its message above."
