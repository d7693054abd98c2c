"""Where a provider installs an environment. Apart from `providers`, which each run loads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from isobench.record import record


@record(frozen=True, slots=True, kw_only=True)
class InstallContext:
    """The empty `folder` to fill, the `log_file` of its tools, and where progress goes.

    `lock` is the descriptor of the file lock on the folder. Every process that writes into the folder inherits it, so
    the lock outlives us if we are killed while one of them is still writing.
    """

    folder: Path
    log_file: Path
    lock: int
    progress: Callable[[str], None]
