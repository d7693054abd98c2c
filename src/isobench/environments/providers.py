"""What lays an environment down. A new way: a class that has what `Provider` says, and its line in `provision.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from isobench.environments.specs import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallContext:
    """Where a provider works: the empty `folder` to fill, the `log_file` that its tools write to.

    `lock` is the descriptor of the file lock that is held for the folder. Every process that writes into it
    inherits it, so that the lock outlives us if we are killed while one of them still works.
    """

    folder: Path
    log_file: Path
    lock: int
    progress: Callable[[str], None]


class Provider(Protocol):
    """Fills an empty folder with what a spec's lock says, and nothing else; knows nothing of locks, markers, tests."""

    name: str

    def install(self, spec: Spec, context: InstallContext) -> dict[str, str]:
        """Lay the environment down: `folder/bin/python` and its packages; return versions of the tools, by name.

        Raises:
            ProvisionError: it couldn't; the folder is in an unknown state and will be removed.
        """

    def purge_cache(self, packages: list[str], context: InstallContext) -> bool:
        """Throw these packages out of the provider's cache, whose files were found changed; False: there is none."""
