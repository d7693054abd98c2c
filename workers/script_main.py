"""Runs a user's script as `python script.py ARGS` would, and leaves its world in place when it has ended.

A model's forward may need what its script had: `sys.modules["__main__"]` (torch.compile and pickle look names up
there), `sys.path` and the working folder (late imports), `sys.argv`. So the script's module stays `__main__`, and all
that it changed stays changed, except for what would disturb the measurement: timers, warnings that are errors, a closed
stdout.

While the script runs, isobench's modules are hidden from it: it may have modules of the same names. Afterwards each
returns to `sys.modules`, unless the script has a module of that name. So a worker that runs scripts imports isobench's
own modules before, at the top of its file.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import PathFinder, SourceFileLoader
from typing import Any

import script_errors

_HERE = os.path.dirname(os.path.abspath(__file__))


def run(script: str, script_args: Sequence[str]) -> str:
    """Run the script to its end, its threads included; return its call of sys.exit (`sys.exit(0)`, "": none).

    Raises:
        Refused: it raised an exception, or exited with an error.
    """
    with _hidden(), _world(script, script_args) as module, _leaving():
        return script_errors.run(script, functools.partial(_execute, script, module))


@script_errors.passes_through
def _execute(script: str, module: types.ModuleType) -> None:
    try:
        with open(script, "rb") as file:
            code = compile(file.read(), script, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102
    finally:
        _join_threads()


def seed_all(value: int) -> None:
    """Seed every generator that a script may draw from: Python's, torch's and numpy's."""
    import random

    import torch

    random.seed(value)
    torch.manual_seed(value)
    try:
        import numpy as np
    except ImportError:
        return
    np.random.seed(value)  # the generator that scripts use


@contextmanager
def _hidden() -> Iterator[None]:
    """Hide isobench's modules, and show those again whose names the script doesn't use itself."""
    files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
    ours = [name for name, file in files.items() if name != "__main__" and os.path.dirname(file) == _HERE]
    hidden = {name: sys.modules.pop(name) for name in ours}
    try:
        yield
    finally:
        for name, module in hidden.items():
            if name not in sys.modules and PathFinder.find_spec(name) is None:
                sys.modules[name] = module
        sys.path.append(_HERE)


@contextmanager
def _world(script: str, script_args: Sequence[str]) -> Iterator[types.ModuleType]:
    """The module `__main__` of the script, with the `sys.argv` and `sys.path` of `python script.py`."""
    import builtins
    import warnings

    module = types.ModuleType("__main__")
    module.__dict__.update(
        __file__=script, __builtins__=builtins, __loader__=SourceFileLoader("__main__", script), __cached__=None
    )
    sys.modules["__main__"] = module
    sys.argv = [script, *script_args]
    # Python follows links: modules beside the real file are found.
    sys.path = [os.path.dirname(os.path.realpath(script)), *(entry for entry in sys.path if entry != _HERE)]
    try:
        yield module
    finally:
        sys.stdout, sys.stderr = _usable(sys.stdout, 1), _usable(sys.stderr, 2)
        _stop_timers()
        filters = [one for one in warnings.filters if one[0] != "error"]
        warnings.resetwarnings()
        warnings.filters.extend(filters)  # type: ignore[attr-defined]


@contextmanager
def _leaving() -> Iterator[None]:
    """`os._exit` ends the script, not the worker, which has yet to measure. A child process of the script is ended."""
    leave, worker = os._exit, os.getpid()

    def left(status: int) -> None:
        if os.getpid() != worker or threading.current_thread() is not threading.main_thread():
            leave(status)
        raise SystemExit(status)

    os._exit = left  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = leave


def _join_threads() -> None:
    """Wait for the script's threads, as Python does at its end; those of pools wait for work forever."""
    pools = sys.modules.get("concurrent.futures.thread")
    workers = set(pools._threads_queues) if pools is not None else set()
    for thread in threading.enumerate():
        if not (thread.daemon or thread is threading.current_thread() or thread in workers):
            thread.join()


def _usable(stream: Any, descriptor: int) -> Any:
    """The stream that the script left, or a new one to the log if it is closed, or none."""
    if stream is None or getattr(stream, "closed", False):
        return open(descriptor, "w", closefd=False)
    return stream


def _stop_timers() -> None:
    """A time limit that the script set for itself must not end the measurement."""
    import signal

    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        with suppress(OSError):
            signal.setitimer(timer, 0)
