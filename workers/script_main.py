"""Runs a user's script as `python script.py ARGS` would: seeded, with its own `sys.argv` and `sys.path`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

_HERE = os.path.dirname(os.path.abspath(__file__))


def seed(value: int) -> None:
    """Seed every generator that a script may draw from: Python's, torch's and numpy's."""
    import random

    random.seed(value)
    torch.manual_seed(value)
    try:
        import numpy as np
    except ImportError:
        return
    np.random.seed(value)  # the generator that scripts use


@contextmanager
def as_main(script: str, script_args: Sequence[str]) -> Iterator[None]:
    """Give the script the `sys.argv` and `sys.path` of `python script.py`, and hide our own modules.

    The script may import modules of the same names.
    """
    argv, path = sys.argv, sys.path
    files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
    ours = [name for name, file in files.items() if name != "__main__" and os.path.dirname(file) == _HERE]
    hidden = {name: sys.modules.pop(name) for name in ours}
    sys.argv = [script, *script_args]
    sys.path = [os.path.dirname(os.path.abspath(script)), *(entry for entry in path if entry != _HERE)]
    try:
        yield
    finally:
        sys.argv, sys.path = argv, path
        sys.modules.update(hidden)
