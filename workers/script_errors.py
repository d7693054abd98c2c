"""Errors of a user's script, with its own traceback and none of isobench's frames."""

from __future__ import annotations

import codecs
import os
import traceback
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, TypeVar

import causes
from harness import Refused, log_tail
from protocol import Ending

_HERE = os.path.dirname(os.path.abspath(__file__))
_Function = TypeVar("_Function", bound=Callable[..., Any])
_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep

_LACKING = {
    Ending.OUT_OF_MEMORY: ("ran out of memory", "Use a smaller model or batch, or a machine with more memory."),
    Ending.OUT_OF_DEVICE_MEMORY: ("ran out of the GPU's memory", "Use a smaller model or batch, or a larger GPU."),
    Ending.DISK_FULL: ("found the disk full", "Free some space."),
    Ending.DEVICE_MISSING: (
        "needs a GPU, and none can be used",
        "Let the script use the CPU, or use another machine.",
    ),
}
"""What a script lacked, by `causes.lacks`, and the way out."""

_PASSING: set[CodeType] = set()


def passes_through(function: _Function) -> _Function:
    """Mark a function of isobench that stands between the script and what it calls.

    An exception that passes through it is the script's; one that any other function of isobench is part of is ours.
    """
    _PASSING.add(function.__code__)
    return function


@passes_through
def run(script: str, body: Callable[[], None]) -> str:
    """Call `body`, which runs the script; return the script's call of sys.exit ("": none).

    Raises:
        Refused: the script raised an exception, or exited with an error, or isobench itself failed.
    """
    name = os.path.basename(script)
    try:
        body()
    except Refused:
        raise
    except SystemExit as exit_:
        if exit_.code in {None, 0}:
            return f"sys.exit({exit_.code or ''})"
        printed = log_tail(5) if isinstance(exit_.code, int) else ""
        raise Refused(
            Ending.SCRIPT_EXIT,
            f"{name} called sys.exit({exit_.code!r}) before it ended",
            'If it needs arguments: --script-args "ARGUMENTS"',
            own_traceback(exit_, without=_LIBRARY) + printed,
        ) from None
    except BaseException as error:  # noqa: BLE001 - the user sees whatever the script raises
        raise _refusal(error, script) from None
    return ""


def _refusal(error: BaseException, script: str) -> Refused:
    name = os.path.basename(script)
    raised = f"{type(error).__name__}: {error}".rstrip(": ")
    lacking = causes.lacks(error)
    if lacking:
        what, hint = _LACKING[lacking]
        return Refused(lacking, f"{name} {what}: {raised}", hint, own_traceback(error))
    if _is_our_failure(error):
        return Refused(
            Ending.INTERNAL,
            f"isobench failed while it watched {name}: {raised}",
            "This is an error in isobench: please report it, with the script.",
            "".join(traceback.format_exception(error)),
        )
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing(error, error.name, script)
    hint = ""
    if isinstance(error, KeyError) and _is_of_environ(error):
        hint = f"A script sees only the environment variables that are passed to it: --env {error.args[0]}=VALUE"
    return Refused(Ending.SCRIPT_ERROR, f"{name} raised {raised}", hint, own_traceback(error))


def _missing(error: ModuleNotFoundError, module: str, script: str) -> Refused:
    name = os.path.basename(script)
    with open(script, "rb") as file:
        has_block = any(line.strip().removeprefix(codecs.BOM_UTF8) == b"# /// script" for line in file)
    if has_block:
        hint = f'Add the package that has it to the dependencies of the script\'s block: "{module}"'
    else:
        hint = f'Declare it at the top of the script, in an inline block (PEP 723): # dependencies = ["{module}"]'
    message = f"{name} needs the package {module}, which its environment lacks"
    return Refused(Ending.SCRIPT_ERROR, message, hint, own_traceback(error))


def _is_of_environ(error: KeyError) -> bool:
    """Was it raised by `os.environ[name]`?"""
    codes = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    return (codes[-1].co_filename, codes[-1].co_name) == (os.getenv.__code__.co_filename, "__getitem__")


def _is_our_failure(error: BaseException) -> bool:
    """Was the exception raised by isobench, or by what isobench called for itself?"""
    frames = (frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(_is_ours(code.co_filename) and code not in _PASSING for code in frames)


def nothing_called(script: str, created: Sequence[tuple[str, str]], exit_call: str) -> Refused:
    """The error for a script that ended without a model to measure."""
    name = os.path.basename(script)
    if exit_call:
        return Refused(Ending.SCRIPT_EXIT, f"{name} called {exit_call} before it called a model")
    if not created:
        return Refused(
            Ending.NO_MODEL,
            f"{name} creates no torch.nn.Module",
            "Create the model and call it at the top level of the script, or under `if __name__ == '__main__':`.",
        )
    models = ", ".join(f"{kind} ({where})" if where else kind for kind, where in created[:5])
    more = f" and {len(created) - 5} more" if len(created) > 5 else ""
    return Refused(
        Ending.MODEL_NEVER_CALLED,
        f"{name} creates a model, but never calls it: {models}{more}",
        "Call it once with the inputs to measure: model(inputs)",
    )


def call_failed(model: str, error: BaseException) -> Refused:
    """The error for a model that worked when the script called it, and raises when it is called again."""
    raised = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(": ")
    return Refused(
        Ending.MODEL_ERROR,
        f"{model} raised an exception when it was called again with the script's inputs: {raised}",
        "",
        own_traceback(error),
    )


def own_traceback(error: BaseException, *, without: str = "") -> str:
    """The traceback as Python prints it, without the frames of isobench and of the folder `without`."""
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
    return file_name.startswith(_HERE + os.sep)
