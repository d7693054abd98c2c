"""The `venv` provider: a virtual environment on an interpreter of this machine, its packages installed by uv."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isobench.environments.providers import Provider
from isobench.environments.specs import NO_PACKAGES, text_of

if TYPE_CHECKING:
    from isobench.environments.install_context import InstallContext
    from isobench.environments.specs import Spec


class VenvProvider(Provider):
    """Installs from `requirements.txt`. See `installing`."""

    name = "venv"
    description = "uv, from requirements.txt"

    def can_install(self, spec: Spec) -> bool:
        return spec.is_locked

    def is_automatic(self, spec: Spec) -> bool:
        """Not where all packages are conda's: the environment would be empty."""
        return text_of(spec.lock_file) != NO_PACKAGES

    def install(self, spec: Spec, context: InstallContext) -> dict[str, str]:
        from isobench.environments.uv import installing

        return installing.install(spec, context)

    def purge_cache(self, packages: Sequence[str], context: InstallContext) -> bool:
        from isobench.environments.uv import installing

        return installing.purge_cache(packages, context)
