"""torch.compile inside of a script has no effect: each runtime compiles, or doesn't, for itself.

torch-eager is to measure eager code, torch-compiled what its own options compile, and an export starts from eager code.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

import script_errors

_compile = getattr(torch, "compile", None)
_compiles = False


@contextmanager
def eager() -> Iterator[None]:
    """While the script runs, and afterwards until `prepare`: forward may call torch.compile, too."""
    if _compile is not None and hasattr(torch.compiler, "set_stance"):
        torch.compile = _recording(_compile)
    yield
    if _compiles and "torch._dynamo" in sys.modules:
        torch.compiler.set_stance("force_eager")  # the script may have set another


def found() -> bool:
    """Did the script call `torch.compile`, or `compile` of a module?"""
    return _compiles


def notes() -> list[str]:
    """What a reader of the figures should know, a sentence each."""
    if not _compiles:
        return []
    return ["the script calls torch.compile: torch-eager runs without it, torch-compiled by its own options"]


def prepare(module: torch.nn.Module) -> None:
    """Allow torch.compile again.

    A module that the script compiled in place is as it was before: it would run the script's compiled code in ours.
    """
    if _compile is not None:
        torch.compile = _compile  # also where the script didn't call it: ours would be taken for the script's
    if not _compiles:
        return
    torch.compiler.set_stance("default")
    for part in module.modules():
        if getattr(part, "_compiled_call_impl", None) is not None:
            part._compiled_call_impl = None


def _recording(compile_: Callable[..., Any]) -> Callable[..., Any]:
    @script_errors.passes_through
    @functools.wraps(compile_)
    def compile_in_script(*args: Any, **kwargs: Any) -> Any:
        global _compiles
        if not _compiles:
            _compiles = True
            torch.compiler.set_stance("force_eager")  # not before: it imports the compiler, which takes a second
        return compile_(*args, **kwargs)

    return compile_in_script
