"""Modules of workers/, imported as a worker imports them: by their own names."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from isobench import paths


def load(name: str) -> Any:
    """The module of that name in workers/, with the modules beside it that it imports."""
    sys.path.insert(0, str(paths.WORKERS))
    try:
        return import_module(name)
    finally:
        sys.path.remove(str(paths.WORKERS))
