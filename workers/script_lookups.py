"""Sees what a script looks for without opening it in Python.

Those are paths that it asks about, files that native code reads, and environment variables that aren't set.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import script_errors

Seen = Callable[[str], None]


@contextmanager
def watched(*, asked: Seen, read: Seen, module: Seen, variable_missing: Seen) -> Iterator[None]:
    """Call `asked(path)`, `read(path)` (in native code), `module(name)` (looked for, not imported) and
    `variable_missing(name)` while the script runs.

    None of them may raise.

    `os.stat` is below `os.path.exists`, `os.path.isfile`, `Path.exists` and the like.
    """
    with ExitStack() as stack:
        for name in ("stat", "lstat", "access"):
            stack.enter_context(_observed(os, name, _path_to(asked)))
        accessor = getattr(sys.modules.get("pathlib"), "_NormalAccessor", None)  # Python 3.10's
        if accessor is not None:
            stack.enter_context(_observed(accessor, "stat", _path_to(asked)))
        for owner, name in _native_readers():
            stack.enter_context(_observed(owner, name, _path_to(read)))
        stack.enter_context(_observed(importlib.util, "find_spec", module))
        stack.enter_context(_missing_variables(variable_missing))
        yield


def _native_readers() -> list[tuple[Any, str]]:
    """Functions that read a file in native code, which Python's audit events don't show.

    `from_file` maps files for safetensors, too.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return []
    readers = [(torch.jit, "load"), (torch.UntypedStorage, "from_file")]
    return [(owner, name) for owner, name in readers if hasattr(owner, name)]


class _Observed:
    """A function that reports its first argument. No function itself: as a class's attribute it must not be bound."""

    def __init__(self, function: Callable[..., Any], seen: Callable[[Any], None]) -> None:
        self._function = function
        self._seen = seen
        functools.update_wrapper(self, function)

    @script_errors.passes_through
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._seen(args[0] if args else next(iter(kwargs.values()), None))
        return self._function(*args, **kwargs)


def _path_to(seen: Seen) -> Callable[[Any], None]:
    def path_seen(path: Any) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            seen(os.fsdecode(path))

    return path_seen


@contextmanager
def _observed(owner: Any, name: str, seen: Callable[[Any], None]) -> Iterator[None]:
    """Replace a function by one that reports its first argument."""
    function = getattr(owner, name)
    own = name in vars(owner)
    observed = _Observed(function, seen)
    # Modules such as shutil ask whether os.stat itself is in these sets.
    sets = [group for group in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks) if function in group]
    for group in sets:
        group.add(observed)
    setattr(owner, name, observed)
    try:
        yield
    finally:
        for group in sets:
            group.discard(observed)
        if own:
            setattr(owner, name, function)
        else:
            delattr(owner, name)


@contextmanager
def _missing_variables(missing: Seen) -> Iterator[None]:
    """Report each variable that the environment lacks: every way to read one ends in `__getitem__`."""
    kind: Any = type(os.environ)
    getitem = kind.__getitem__

    @script_errors.passes_through
    def observed(environ: Any, name: Any) -> Any:
        try:
            return getitem(environ, name)
        except KeyError:
            if isinstance(name, str):
                missing(name)
            raise

    kind.__getitem__ = observed
    try:
        yield
    finally:
        kind.__getitem__ = getitem
