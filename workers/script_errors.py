"""Errors of a user's script, with its own traceback and none of isobench's frames."""

from __future__ import annotations

import os
import runpy
import traceback
from collections.abc import Sequence
from typing import Any

from harness import Refused, log_tail
from protocol import FailureKind

_HERE = os.path.dirname(os.path.abspath(__file__))
_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep


def run(script: str) -> tuple[str, dict[str, Any]]:
    """Run the script; return its call of sys.exit ("": none), and its variables, which keep its models alive.

    Raises:
        Refused: it raised an exception, or exited with an error.
    """
    name = os.path.basename(script)
    try:
        return "", runpy.run_path(script, run_name="__main__")
    except SystemExit as exit_:
        if exit_.code in {None, 0}:
            return f"sys.exit({exit_.code or ''})", {}
        printed = log_tail(5) if isinstance(exit_.code, int) else ""
        raise Refused(
            FailureKind.SCRIPT_EXIT,
            f"{name} called sys.exit({exit_.code!r}) before it ended",
            'If it needs arguments: --script-args "ARGUMENTS"',
            own_traceback(exit_, without=_LIBRARY) + printed,
        ) from None
    except ModuleNotFoundError as error:
        raise Refused(
            FailureKind.SCRIPT_ERROR,
            f"{name} needs the package {error.name}, which its environment lacks",
            f'Declare it at the top of the script, in an inline block (PEP 723): # dependencies = ["{error.name}"]',
            own_traceback(error),
        ) from None
    except BaseException as error:  # noqa: BLE001 - the user sees whatever the script raises
        message = f"{name} raised {type(error).__name__}: {error}".rstrip(": ")
        raise Refused(FailureKind.SCRIPT_ERROR, message, "", own_traceback(error)) from None


def nothing_called(script: str, created: Sequence[tuple[str, str]], exit_call: str) -> Refused:
    """The error for a script that ended without a model to measure."""
    name = os.path.basename(script)
    if exit_call:
        return Refused(FailureKind.SCRIPT_EXIT, f"{name} called {exit_call} before it called a model")
    if not created:
        return Refused(
            FailureKind.NO_MODEL,
            f"{name} creates no torch.nn.Module",
            "Create the model and call it at the top level of the script, or under `if __name__ == '__main__':`.",
        )
    models = ", ".join(f"{kind} ({where})" if where else kind for kind, where in created[:5])
    more = f" and {len(created) - 5} more" if len(created) > 5 else ""
    return Refused(
        FailureKind.MODEL_NEVER_CALLED,
        f"{name} creates a model, but never calls it: {models}{more}",
        "Call it once with the inputs to measure: model(inputs)",
    )


def own_traceback(error: BaseException, *, without: str = "") -> str:
    """The traceback as Python prints it, without the frames of isobench, of runpy, and of the folder `without`."""
    shown = traceback.TracebackException.from_exception(error)
    inner: traceback.TracebackException | None = shown
    while inner is not None:
        frames = [
            frame
            for frame in inner.stack
            if not (_is_ours(frame.filename) or (without and frame.filename.startswith(without)))
        ]
        inner.stack = traceback.StackSummary.from_list(frames)
        inner = inner.__cause__ or inner.__context__
    return "".join(shown.format())


def _is_ours(file_name: str) -> bool:
    return file_name.startswith((_HERE + os.sep, "<frozen runpy>")) or file_name == runpy.__file__
