"""How a worker ended, as an error: what it reported itself, or what the kernel and its log show of a crash."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isobench.errors import WorkerError
from isobench.failures import NO_FAILURES, Ending, Phase, kind_and_cause
from isobench.record import record
from isobench.system import process
from isobench.workers import protocol

_MOST_TEXT = {"message": 8000, "hint": 2000, "traceback": 16_000}
"""Characters that are shown of what a worker reports; the log has all of it."""
_MOST_WORD = 200
_DUMP_LINES, _SHOWN_LINES = 400, 40
_OF_WORKER = {
    errno.EACCES,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENXIO,
    errno.EPERM,
}
_NO_WORDS_OF_WORKERS = {*NO_FAILURES, Ending.USAGE, Ending.CANCELLED}
_HINTS = {
    Ending.OUT_OF_MEMORY: "Use a smaller batch, or a machine (or memory limit) with more memory.",
    Ending.OUT_OF_DEVICE_MEMORY: "Use a smaller batch, or free the GPU's memory; who uses it: nvidia-smi",
    Ending.DISK_FULL: "Free some space: isobench cache gc",
    Ending.IMPORT_ERROR: "Check the runtime's environment: isobench env verify",
    Ending.UNSUPPORTED_OPERATOR: "Another runtime may have this operator; list them: isobench plugins",
}


@record(frozen=True, slots=True, kw_only=True)
class Doing:
    """What a worker was doing: `text` is that for people, the phase and its detail."""

    phase: Phase = Phase.IMPORTING
    detail: str = ""

    @property
    def text(self) -> str:
        return f"{self.phase} ({self.detail})" if self.detail else str(self.phase)


def reported(outputs: Mapping[str, Any], doing: Doing, log_file: Path) -> WorkerError:
    """The error that a worker wrote into its outputs: a refusal, or an exception, which has a `type`."""
    error, status = outputs.get("error"), outputs.get("status")
    if status != "error" or not isinstance(error, dict):
        problem = (
            "'error' must be an object"
            if status == "error"
            else f"'status' must be 'ok' or 'error', got {status!r:.40}"
        )
        what = f"the worker wrote malformed outputs: {problem}"
        return failed(what, doing=doing, log_file=log_file, kind=Ending.PROTOCOL)
    texts = {name: _text(name, error) for name in ("kind", "cause", "type", "message", "hint", "traceback")}
    name, message, traceback = texts["type"], texts["message"], texts["traceback"]
    kind, word = kind_and_cause(texts["kind"] or "Exception")
    if kind in _NO_WORDS_OF_WORKERS:
        kind, word = Ending.REFUSED, texts["kind"]
    if "type" not in error and texts["kind"]:
        return WorkerError(
            message,
            kind=kind,
            phase=doing.phase,
            cause=texts["cause"] or word,
            hint=texts["hint"],
            details=traceback,
            refused=True,
        )
    what = f"the worker failed while {doing.text}: {name or 'Exception'}: {message}".rstrip(": ")
    cause = texts["cause"] or name or word
    return failed(
        what, doing=doing, log_file=log_file, kind=kind, cause=cause, hint=_HINTS.get(kind, ""), log=traceback
    )


def _text(name: str, error: Mapping[str, Any]) -> str:
    """A text of a worker's error: its beginning (of a traceback the end), and no halves of characters."""
    value, most = error.get(name), _MOST_TEXT.get(name, _MOST_WORD)
    if not isinstance(value, str):
        return ""
    cut = value if len(value) <= most else f"...{value[-most:]}" if name == "traceback" else f"{value[:most]}..."
    return cut.encode(errors="replace").decode()


def crash(status: int, doing: Doing, log_file: Path, *, out_of_memory: str = "") -> WorkerError:
    """The error of a worker that ended with `status` (negative: the signal) and wrote no outputs.

    `out_of_memory` is the evidence that the kernel killed it for that, as a sentence.
    """
    if out_of_memory:
        return failed(
            f"out of memory: the kernel killed the worker while {doing.text}: {out_of_memory}",
            doing=doing,
            log_file=log_file,
            kind=Ending.OUT_OF_MEMORY,
            hint=_HINTS[Ending.OUT_OF_MEMORY],
        )
    without = " and no result" if status >= 0 else ""
    return failed(
        f"the worker {how(status)}{without} while {doing.text}",
        doing=doing,
        log_file=log_file,
        kind=Ending.CRASH,
        cause=signal_name(-status) if status < 0 else "",
        log=_dump(log_file),
    )


def _dump(log_file: Path) -> str:
    """The end of a log from where faulthandler writes what each thread was doing, if it does; with a line before it."""
    lines = process.tail(log_file, _DUMP_LINES).splitlines()
    starts = [place for place, line in enumerate(lines) if line.startswith("Fatal Python error")]
    return "\n".join(lines[max(0, starts[-1] - 5) :][:_SHOWN_LINES]) if starts else ""


def of_worker(error: OSError | protocol.ProtocolError) -> bool:
    """Is it the worker's doing that its files can't be used? Not where this machine lacks space or descriptors."""
    return isinstance(error, protocol.ProtocolError) or error.errno in _OF_WORKER


def of_file(error: OSError | protocol.ProtocolError, run_dir: Path) -> str:
    """What is wrong with a file of the worker, by its name in the run directory."""
    if isinstance(error, OSError):
        return f"{Path(str(error.filename)).name}: {error.strerror}"
    return str(error).replace(f"{run_dir}{os.sep}", "")


def how(status: int) -> str:
    """How a process ended, in words."""
    return f"exited with code {status}" if status >= 0 else f"was killed by {signal_name(-status)}"


def failed(
    message: str, *, doing: Doing, log_file: Path, kind: Ending, hint: str = "", cause: str = "", log: str = ""
) -> WorkerError:
    """An error of a worker, with the end of its log unless `log` has better evidence."""
    details = log or process.tail(log_file)
    return WorkerError(message, kind=kind, phase=doing.phase, cause=cause, hint=hint, details=details)


def signal_name(number: int) -> str:
    """The name of a signal, such as SIGSEGV."""
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
