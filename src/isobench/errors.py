"""Every error that isobench raises on purpose, each with the exit code that the command line gives it."""

from __future__ import annotations


class IsobenchError(Exception):
    """Something the user can act on.

    `message` says what failed, `details` shows the evidence (a traceback, the last lines of a log), `hint` says what
    to do next.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details


class UsageError(IsobenchError):
    """The request can't be carried out as it was put: refused before any work."""

    exit_code = 2


class ModelError(IsobenchError):
    """The model can't be read, run, exported or is not there."""

    exit_code = 3


class ProvisionError(IsobenchError):
    """An environment is missing, can't be laid down, or is not what its lock says."""

    exit_code = 4


class WorkerError(IsobenchError):
    """A worker crashed, ran out of time or memory, or reported an error.

    `kind` is "crash", "timeout", "out-of-memory", "protocol", or what the worker said ("RuntimeError", "script-error");
    `refused` tells the last from an exception that the worker didn't expect.
    """

    exit_code = 5

    def __init__(self, message: str, *, kind: str, hint: str = "", details: str = "", refused: bool = False) -> None:
        super().__init__(message, hint=hint, details=details)
        self.kind = kind
        self.refused = refused


class ResultError(IsobenchError):
    """A result can't be found or read."""

    exit_code = 6
