"""The `adopted` provider: interpreters that isobench didn't install, a lab's conda environment or a site's own.

Adopting one records what is installed in it, after it has passed the smoke test of the environment that it stands for.
From then on it is compared with that record before each measurement, like any other. Nothing in it is ever changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isobench import paths
from isobench.environments import store
from isobench.environments.providers import Provider
from isobench.environments.store import Environment
from isobench.errors import ProvisionError, UsageError

if TYPE_CHECKING:
    from isobench.environments.install_context import InstallContext
    from isobench.environments.manifest import Adopted, Contents
    from isobench.environments.specs import Spec

_ASK = (
    "import json, os, platform, sys, sysconfig; print(json.dumps({'prefix': sys.prefix, 'python': sys.executable,"
    " 'site_packages': sysconfig.get_path('purelib'), 'version': platform.python_version(),"
    " 'implementation': platform.python_implementation()}))"
)


class AdoptedProvider(Provider):
    """Installs nothing: an interpreter is adopted (see `adopt`) or not there."""

    name = "adopted"
    description = "an interpreter that exists, as it is"

    def can_install(self, spec: Spec) -> bool:
        return False

    def require(self, spec: Spec) -> None:
        if find(spec.name) is None:
            raise ProvisionError(
                f"no interpreter was adopted for {spec.name}",
                hint=f"Adopt one: isobench env adopt {spec.name} PREFIX_OR_PYTHON",
            )

    def needs_lock(self, spec: Spec) -> bool:
        return False

    def find(self, spec: Spec) -> Environment | None:
        return find(spec.name)

    def install(self, spec: Spec, context: InstallContext) -> dict[str, str]:
        raise ProvisionError(
            f"the interpreter adopted for {spec.name} can't be installed",
            hint=f"Adopt it again: isobench env adopt {spec.name} PREFIX_OR_PYTHON",
        )

    def activation_variables(self, prefix: Path) -> dict[str, str]:
        from isobench.environments.conda import activation, meta

        return activation.variables(prefix) if meta.packages(prefix) else {}

    def activation(self, environment: Environment) -> Mapping[str, str]:
        return environment.manifest().activation

    def watched_folders(self, environment: Environment) -> dict[str, Path]:
        """Those of a conda prefix; of a site's own interpreter none."""
        from isobench.environments.conda import meta

        return meta.watched_folders(environment.prefix)

    def remedy(self, environment: Environment) -> str:
        return f"Adopt it as it is now: isobench env adopt {environment.name} {environment.python}"


def find(name: str) -> Environment | None:
    """The interpreter that was adopted for an environment, if there is one."""
    return next(store.ready(f"{name}-adopted-*"), None)


def adopt(spec: Spec, prefix_or_python: Path, *, progress: Callable[[str], None]) -> Environment:
    """Adopt an interpreter as the spec's environment; it replaces one that was adopted before.

    Raises:
        UsageError: there is no interpreter.
        ProvisionError: it can't be run, or its smoke test fails.
    """
    from isobench.environments import inventory, manifest, provision, verification
    from isobench.environments.install_context import InstallContext

    python = _interpreter(prefix_or_python)
    about = _about(python)
    found = manifest.Adopted(
        prefix=Path(about["prefix"]), python=Path(about["python"]), site_packages=Path(about["site_packages"])
    )
    environment = Environment(
        name=spec.name,
        provider=AdoptedProvider.name,
        identity="",
        folder=Path(),
        prefix=found.prefix,
        python=python,
        site_packages=found.site_packages,
        lock_sha256="",
    )
    contents = verification.contents(environment)
    identity = _identity(found, contents)
    folder = paths.environments() / f"{spec.name}-adopted-{identity[:12]}"
    environment = replace(environment, identity=identity, folder=folder)
    activation = AdoptedProvider().activation_variables(found.prefix)
    # One lock for all that are adopted under this name: two processes would remove each other's.
    every = paths.environments() / f"{spec.name}-adopted"
    with provision.lock_of(every, spec.name, on_wait=progress) as lock:
        context = InstallContext(folder=folder, log_file=provision.beside(folder, ".log"), lock=lock, progress=progress)
        context.log_file.unlink(missing_ok=True)
        progress(f"{spec.name}: running its smoke test with {python}")
        provision.smoke(spec, environment, context, activation)
        interpreter = inventory.interpreter(python)
        assert interpreter is not None, "its smoke test has just run"
        folder.mkdir(parents=True, exist_ok=True)
        context.log_file.replace(folder / "provision.log")
        made = verification.manifest(
            environment,
            spec,
            contents,
            python=manifest.Python(
                version=about["version"], implementation=about["implementation"], interpreter=interpreter
            ),
            tools={},
            activation=activation,
            adopted=found,
        )
        manifest.write(environment.marker, made)
        for other in provision.folders_of(spec.name):
            if other.name.startswith(f"{spec.name}-adopted-") and other != folder:
                provision.remove(other.name, progress=progress)
        return store.opened(folder)


def _interpreter(prefix_or_python: Path) -> Path:
    place = paths.expanded(prefix_or_python).absolute()
    python = place / "bin" / "python" if place.is_dir() else place
    if not python.is_file():
        raise UsageError(
            f"there is no interpreter at {python}", hint="Name a Python, or a folder that contains bin/python."
        )
    return python


def _identity(found: Adopted, contents: Contents) -> str:
    import hashlib
    import json
    from dataclasses import asdict

    from isobench.environments.specs import platform_name

    place = {name: str(path) for name, path in asdict(found).items()}
    packages = [[asdict(package) for package in each] for each in (contents.packages, contents.conda_packages)]
    parts = ["isobench.adopted/1", platform_name(), place, *packages]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _about(python: Path) -> dict[str, Any]:
    import json

    from isobench.system import process

    try:
        output = process.capture([python, "-I", "-B", "-c", _ASK], env={"PATH": "/usr/bin:/bin"})
        about: dict[str, Any] = json.loads(output)
    except (OSError, ValueError) as error:
        raise ProvisionError(
            f"{python} can't be run as a Python", details=str(error), hint="Name a Python that works."
        ) from None
    return about
