"""Every error that isobench raises on purpose. Its kind (`failures`) decides the exit code of the command line."""

from __future__ import annotations

import errno
from typing import ClassVar

from isobench.failures import FailureKind, Phase, exit_code

DISK_ERRORS = {errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS}
"""Numbers of an `OSError` that says that nothing can be written."""


class IsobenchError(Exception):
    """Something the user can act on.

    `message` says what failed, `details` shows the evidence (a traceback, the last lines of a log), `hint` is the next
    step. `kind` is the class's own unless one is given. `phase` is what a worker was doing, None where none was
    running; `cause` an exception's class name, or the word of a plugin's worker that is no `FailureKind`.
    """

    default_kind: ClassVar[FailureKind] = FailureKind.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        details: str = "",
        kind: FailureKind | None = None,
        phase: Phase | None = None,
        cause: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details
        self.kind = kind or self.default_kind
        self.phase = phase
        self.cause = cause

    @property
    def exit_code(self) -> int:
        """The exit code of the command line."""
        return exit_code(self.kind)


class UsageError(IsobenchError):
    """The request is invalid: refused before any work."""

    default_kind = FailureKind.USAGE


class ModelError(IsobenchError):
    """The model is missing, or can't be read, run or exported."""

    default_kind = FailureKind.MODEL_ERROR


class ProvisionError(IsobenchError):
    """An environment is missing, can't be installed, or differs from its lock."""

    default_kind = FailureKind.ENVIRONMENT


class WorkerError(IsobenchError):
    """A worker crashed, ran out of time or memory, raised an exception, or refused its request.

    `refused`: the worker refused on purpose, so its message is complete without the log.
    """

    default_kind = FailureKind.CRASH

    def __init__(
        self,
        message: str,
        *,
        kind: FailureKind,
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

    default_kind = FailureKind.RESULT


class LockError(IsobenchError):
    """A lock between processes can't be taken; its kind is that of the work that needs it."""

    default_kind = FailureKind.USAGE


class LockHeldError(LockError):
    """Another process holds the lock, and didn't release it in time."""


def unexpected(error: Exception, doing: str) -> IsobenchError:
    """An exception as an error of `doing` something, with its traceback; an `IsobenchError` as it is.

    Raises:
        OSError: `error` itself, if the disk is full or can't be written to: then nothing else goes on either.
    """
    if isinstance(error, IsobenchError):
        return error
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        raise error
    if isinstance(error, MemoryError):
        return IsobenchError(f"out of memory while {doing}: {error}".rstrip(": "), kind=FailureKind.OUT_OF_MEMORY)
    import traceback

    return IsobenchError(
        f"an error in isobench while {doing}: {type(error).__name__}: {error}".rstrip(": "),
        details="".join(traceback.format_exception(error)).rstrip(),
        cause=type(error).__name__,
        hint="Report it with the text above and, if possible, the model.",
    )
