"""The `conda` provider: rattler installs what `conda-lock.yml` says, then uv lays the Python layer over it.

The lock of the Python packages, `requirements.txt`, is the same as for `venv`. Python packages that the conda part
brings along are left alone; none may be in both locks, since two installers would write the same files.
"""

from __future__ import annotations

from pathlib import Path

from isobench import paths
from isobench.environments import inventory
from isobench.environments.conda import engine, meta
from isobench.environments.providers import InstallContext
from isobench.environments.specs import Spec, subdir
from isobench.environments.uv import command
from isobench.errors import ProvisionError


class Conda:
    """Lays environments down with rattler and uv, from two locks."""

    name = "conda"

    def install(self, spec: Spec, context: InstallContext) -> dict[str, str]:
        """Lay the environment down. See `providers.Provider`."""
        what = f"the {spec.name} environment can't be laid down"
        context.progress(f"{spec.name}: laying down the conda packages of {spec.conda_lock_file}")
        try:
            installed = engine.ask(
                "install",
                {**request(), "lock_file": str(spec.conda_lock_file), "prefix": str(context.folder)},
                log_file=context.log_file,
                pass_fds=(context.lock,),
            )
        except engine.EngineError as error:
            raise error.explained(what, relock=spec.relock, spec=str(spec.environment_file)) from None
        theirs = _distributions(spec, context.folder)
        locked = spec.locked()
        both = sorted((theirs & locked.keys()) - set(spec.sdists))  # those, conda has built
        if both:
            raise ProvisionError(
                f"{what}: {', '.join(both)} comes from conda-lock.yml and from requirements.txt",
                hint=f"take it out of {spec.environment_file} or of {spec.requirements_file}, then {spec.relock}",
            )
        tools = {"rattler": installed["rattler"]}
        if not locked:
            return tools
        context.progress(f"{spec.name}: laying down {len(locked)} packages over them with uv {command.version()}")
        try:
            # A sync would remove what the conda part brought along.
            command.install_locked(spec, context, command="install" if theirs else "sync")
        except command.UvError as error:
            loosen = f"the lock contradicts itself; make it anew: {spec.relock}"
            raise error.explained(what, relock=spec.relock, loosen=loosen) from None
        return {**tools, "uv": command.version()}

    def purge_cache(self, packages: list[str], context: InstallContext) -> bool:
        """Throw packages out of uv's cache; rattler's own is verified each time. See `providers.Provider`."""
        from isobench.environments.uv.provider import Venv

        return Venv().purge_cache(packages, context)


def request() -> dict[str, str]:
    """What every request to the child says: the platform, and where the cache is."""
    return {"platform": subdir(), "native": subdir(), "cache": str(paths.cache_of("conda"))}


def _distributions(spec: Spec, prefix: Path) -> set[str]:
    """The names of the Python packages that conda laid down.

    Raises:
        ProvisionError: there is no Python of the version that the other lock is for.
    """
    python = meta.packages(prefix).get("python")
    if python is None or not f"{python.version}.".startswith(f"{spec.python}."):
        there = f"Python {python.version}" if python else "no Python"
        raise ProvisionError(
            f"{spec.conda_lock_file} has {there}; requirements.txt is for Python {spec.python}",
            hint=f"ask for python {spec.python}.* in {spec.environment_file}, then {spec.relock}",
        )
    return set(inventory.packages(prefix / "lib" / f"python{spec.python}" / "site-packages"))
