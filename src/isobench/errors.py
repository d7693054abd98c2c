"""Every error that isobench raises on purpose. Its kind (`failures`) decides the exit code of the command line."""

from __future__ import annotations

import errno
import importlib
import os
from collections.abc import Iterator
from typing import ClassVar

from isobench.constraints import shown
from isobench.failures import Ending, Phase, exit_code
from isobench.redaction import redacted

_FULL = Ending.DISK_FULL, "Free some disk space, or set ISOBENCH_HOME to a folder on another disk."
_CLOSED = Ending.RESULT, "Set ISOBENCH_HOME to a folder that you can write to."
_FILES = None, "Raise the limit of open files: ulimit -n 4096"
_OF_SYSTEM: dict[int, tuple[Ending | None, str]] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EROFS: _CLOSED,
    errno.ENOMEM: (Ending.OUT_OF_MEMORY, "Free some memory, or use a smaller model or batch."),
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.EAGAIN: (None, "Raise the limit of processes (ulimit -u), or end some of them."),
    errno.ENAMETOOLONG: (Ending.USAGE, "A file's name has at most 255 bytes, a path 4096."),
    errno.ELOOP: (Ending.USAGE, "Its links lead to each other."),
    errno.EIO: (None, "The kernel's log may say more: dmesg"),
}
"""What the number of an `OSError` says about this machine: the kind of failure, and what to do."""
_SHOWN = 500


class IsobenchError(Exception):
    """Something the user can act on.

    `message` says what failed, `details` shows the evidence (a traceback, the last lines of a log), `hint` is the next
    step; secrets in them are masked. `kind` is the class's own unless one is given. `phase` is what a worker was doing,
    None where none was running; `cause` an exception's class name, or the word of a plugin's worker that is no
    `Ending`.
    """

    default_kind: ClassVar[Ending] = Ending.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        details: str = "",
        kind: Ending | None = None,
        phase: Phase | None = None,
        cause: str = "",
    ) -> None:
        self.message, self.hint, self.details = map(_text, (message, hint, details))
        super().__init__(self.message)
        self.kind = kind or self.default_kind
        self.phase = phase
        self.cause = cause

    @property
    def exit_code(self) -> int:
        """The exit code of the command line."""
        return exit_code(self.kind)


def _text(given: object) -> str:
    return redacted(given if isinstance(given, str) else str(given))  # a plugin may pass anything


class UsageError(IsobenchError):
    """The request is invalid: refused before any work."""

    default_kind = Ending.USAGE


class ModelError(IsobenchError):
    """The model is missing, or can't be read, run or exported."""

    default_kind = Ending.MODEL_ERROR


class ChangedBuildError(ModelError):
    """A cached build, or the script that it was made of, isn't what it was made as."""


class ProvisionError(IsobenchError):
    """An environment is missing, can't be installed, or differs from its lock."""

    default_kind = Ending.ENVIRONMENT


class WorkerError(IsobenchError):
    """A worker crashed, ran out of time or memory, raised an exception, or refused its request.

    `refused`: the worker refused on purpose, so its message is complete without the log.
    """

    default_kind = Ending.CRASH

    def __init__(
        self,
        message: str,
        *,
        kind: Ending,
        hint: str = "",
        details: str = "",
        phase: Phase | None = None,
        cause: str = "",
        refused: bool = False,
    ) -> None:
        super().__init__(message, hint=hint, details=details, kind=kind, phase=phase, cause=cause)
        self.refused = refused


class ResultError(IsobenchError):
    """A result is missing, or can't be read or written."""

    default_kind = Ending.RESULT


class LockError(IsobenchError):
    """A lock between processes can't be taken; its kind is that of the work that needs it."""

    default_kind = Ending.USAGE


class LockHeldError(LockError):
    """Another process holds the lock, and didn't release it in time."""


def unexpected(error: BaseException, doing: str) -> IsobenchError:
    """Any exception as an error of `doing` something, with its traceback; an `IsobenchError` as it is.

    `doing` is a phrase such as "building a model".

    A plugin may raise anything, `SystemExit` included, which must end its own Case alone.

    Raises:
        KeyboardInterrupt, GeneratorExit: `error` is one, or was made of one: it ends the whole call.
    """
    pass_interrupt(error)
    if isinstance(error, IsobenchError):
        for cause in _causes(error):  # a full disk is one, whatever couldn't be written
            kind, _ = of_system(cause)
            error.kind = kind if kind in {Ending.DISK_FULL, Ending.OUT_OF_MEMORY} else error.kind
        return error
    if isinstance(error, ImportError):
        importlib.invalidate_caches()  # a folder that couldn't be listed counts as empty until then
    kind, hint = of_system(error)
    reason = in_words(error)
    if isinstance(error, OSError):
        message = f"{doing} failed: {reason or type(error).__name__}"
    elif isinstance(error, MemoryError):
        message = f"out of memory while {doing}: {reason}".rstrip(": ")
    else:
        message = f"an error in isobench while {doing}: {type(error).__name__}: {reason}".rstrip(": ")
    return IsobenchError(
        message,
        kind=kind or Ending.INTERNAL,
        details="" if kind else _traceback(error),
        cause="" if kind else type(error).__name__,
        hint=hint or "Report it with the text above and, if possible, the model.",
    )


def pass_interrupt(error: BaseException) -> None:
    """Raises:
    KeyboardInterrupt, GeneratorExit: `error` is one, or was made of one: it ends the whole call.
    """
    for cause in _causes(error):  # numpy, for one, makes an ImportError of an interrupt
        if isinstance(cause, KeyboardInterrupt | GeneratorExit):
            raise cause


def of_system(error: BaseException) -> tuple[Ending | None, str]:
    """The kind of an exception that says what this machine lacks, None where it has no kind of its own; a hint."""
    if isinstance(error, MemoryError):
        return _OF_SYSTEM[errno.ENOMEM]
    number = error.errno if isinstance(error, OSError) else None
    return _OF_SYSTEM.get(number or 0, (None, ""))


def in_words(error: BaseException) -> str:
    """What an exception says; of an `OSError`, the file and the reason."""
    if isinstance(error, OSError) and error.strerror:
        where = error.filename2 or error.filename  # of a copy, the target
        if not isinstance(where, str | bytes):
            return error.strerror
        return f"{shown(os.fsdecode(where), plain=True, most=_SHOWN)}: {error.strerror}"
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a class of a plugin's own may fail at that, too
        return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, and those that it was made of."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and not any(cause is one for one in seen):  # they may go round in circles
        yield cause
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__


def _traceback(error: BaseException) -> str:
    try:
        import traceback

        return "".join(traceback.format_exception(error)).rstrip()
    except Exception:  # noqa: BLE001 - without memory or files, the message alone must do
        return ""
