"""The `conda` provider: rattler installs what `conda-lock.yml` lists, then uv installs the Python packages over it.

The lock of the Python packages, `requirements.txt`, is the same as for `venv`. Python packages that the conda part
includes are left alone; none may be in both locks, since two installers would write the same files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isobench import paths
from isobench.environments.providers import Provider
from isobench.environments.specs import CONDA_LOCK_FILE, subdir
from isobench.errors import ProvisionError, UsageError
from isobench.system import leftovers

if TYPE_CHECKING:
    from isobench.environments.install_context import InstallContext
    from isobench.environments.inventory import Package
    from isobench.environments.specs import Spec
    from isobench.environments.store import Environment

PROBE_TIMEOUT_S = 3.0


class CondaProvider(Provider):
    """Installs from two locks, with rattler and uv."""

    name = "conda"
    description = "rattler and uv, from conda-lock.yml and requirements.txt"
    reads_conda_lock = True

    def can_install(self, spec: Spec) -> bool:
        return spec.is_locked and spec.conda_lock_file.exists()

    def require(self, spec: Spec) -> None:
        if not spec.conda_lock_file.exists():
            raise UsageError(
                f"the {spec.name} environment has no {CONDA_LOCK_FILE}, which the conda provider installs from",
                hint=f"Write {spec.environment_file}, then {spec.relock}; or use --provider venv.",
            )
        super().require(spec)

    def unavailable(self, spec: Spec) -> str:
        """Why the channel of the lock can't be used: it has three seconds to answer."""
        from isobench.environments.conda import engine, errors

        with leftovers.temporary_folder("probe") as folder:
            try:
                engine.ask(
                    "probe",
                    {**request(), "lock_file": str(spec.conda_lock_file)},
                    log_file=folder / "rattler.log",
                    silence_s=PROBE_TIMEOUT_S,
                    limit_s=PROBE_TIMEOUT_S,
                )
            except engine.EngineError as error:
                if error.kind == "timeout":
                    return f"conda channel unreachable: no answer within {PROBE_TIMEOUT_S:g} s"
                why, _ = errors.explain(error.kind, error.message)
                return why
        return ""

    def identity_parts(self, spec: Spec) -> list[str]:
        return [spec.lock_sha256, spec.conda_lock_sha256]

    def install(self, spec: Spec, context: InstallContext) -> dict[str, str]:
        tools = _install_conda_packages(spec, context)
        included = _distributions(spec, context.folder)
        locked = spec.locked()
        both = sorted((included & locked.keys()) - set(spec.sdists))  # conda has built those
        if both:
            raise ProvisionError(
                f"the {spec.name} environment can't be installed: {', '.join(both)} is in both conda-lock.yml and"
                " requirements.txt",
                hint=f"Remove it from {spec.environment_file} or from {spec.requirements_file}, then {spec.relock}",
            )
        return tools | (_install_python_packages(spec, context, included) if locked else {})

    def purge_cache(self, packages: Sequence[str], context: InstallContext) -> bool:
        """Purge uv's cache; rattler verifies its own each time."""
        from isobench.environments.uv import installing

        return installing.purge_cache(packages, context)

    def expected_packages(self, spec: Spec, found: Mapping[str, Package]) -> dict[str, str]:
        """The locked packages; those that conda may have built count only if uv installed them."""
        by_conda = set(spec.sdists) - found.keys()
        return {name: version for name, version in spec.locked().items() if name not in by_conda}

    def python_release(self, environment: Environment, spec: Spec) -> tuple[str, str]:
        from isobench.environments.conda import meta

        return meta.packages(environment.prefix)["python"].version, "CPython"

    def activation_variables(self, prefix: Path) -> dict[str, str]:
        from isobench.environments.conda import activation

        return activation.variables(prefix)

    def activation(self, environment: Environment) -> Mapping[str, str]:
        return environment.manifest().activation

    def watched_folders(self, environment: Environment) -> dict[str, Path]:
        from isobench.environments.conda import meta

        return meta.watched_folders(environment.prefix)


def request() -> dict[str, str]:
    """The members of every request to the child: the platform, and where the cache is."""
    return {"platform": subdir(), "native": subdir(), "cache": str(paths.cache_of("conda"))}


def _install_conda_packages(spec: Spec, context: InstallContext) -> dict[str, str]:
    from isobench.environments.conda import engine

    context.progress(f"{spec.name}: installing the conda packages of {spec.conda_lock_file}")
    try:
        installed = engine.ask(
            "install",
            {**request(), "lock_file": str(spec.conda_lock_file), "prefix": str(context.folder)},
            log_file=context.log_file,
            pass_fds=(context.lock,),
        )
    except engine.EngineError as error:
        what = f"the {spec.name} environment can't be installed"
        raise error.as_provision_error(what, relock=spec.relock, spec=str(spec.environment_file)) from None
    return {"rattler": installed["rattler"]}


def _install_python_packages(spec: Spec, context: InstallContext, included: set[str]) -> dict[str, str]:
    """Install the locked Python packages over those that the conda packages include."""
    from isobench.environments.uv import command

    context.progress(f"{spec.name}: installing {len(spec.locked())} packages over them with uv {command.version()}")
    try:
        # A sync would remove what the conda packages include.
        command.install_locked(spec, context, command="install" if included else "sync")
    except command.UvError as error:
        raise error.as_provision_error(
            f"the {spec.name} environment can't be installed",
            relock=spec.relock,
            loosen=f"The lock contradicts itself; resolve it again: {spec.relock}",
        ) from None
    return {"uv": command.version()}


def _distributions(spec: Spec, prefix: Path) -> set[str]:
    """The names of the Python packages that the conda packages include.

    Raises:
        ProvisionError: the prefix has no Python of the version that the other lock is for.
    """
    from isobench.environments import inventory
    from isobench.environments.conda import meta

    python = meta.packages(prefix).get("python")
    if python is None or not f"{python.version}.".startswith(f"{spec.python}."):
        there = f"Python {python.version}" if python else "no Python"
        raise ProvisionError(
            f"{spec.conda_lock_file} has {there}; requirements.txt is for Python {spec.python}",
            hint=f"Request python {spec.python}.* in {spec.environment_file}, then {spec.relock}",
        )
    return set(inventory.packages(prefix / "lib" / f"python{spec.python}" / "site-packages"))
