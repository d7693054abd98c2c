"""isobench: reproducible benchmarks of ML models, each runtime in a locked environment of its own.

From Python: `isobench.benchmark("model.py", runtime="ort")` returns the Result; see `isobench.api`.
"""

from __future__ import annotations

from isobench.version import VERSION

__version__ = VERSION
__all__ = ["__version__", "benchmark", "benchmark_all", "discover", "inputs"]

TYPE_CHECKING = False  # as in typing, which takes 4 ms: until then a signal could do no more than end in a traceback
if TYPE_CHECKING:
    from typing import Any

    from isobench.api import benchmark, benchmark_all, discover, inputs


def __getattr__(name: str) -> Any:
    # Imported when asked for: the command line starts without what it doesn't need.
    if name in __all__:
        from isobench import api

        return getattr(api, name)
    raise AttributeError(f"module 'isobench' has no attribute {name!r}")
