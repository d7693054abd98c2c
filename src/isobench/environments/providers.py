"""The ways to install an environment. A new one: a subclass of `Provider` in a module of its own, and its line below.

No other module compares names of providers: what differs between them is a method or an attribute here. A provider's
module is imported when its name comes up, on the way to each measurement, so it imports at its top nothing that
only the installation needs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from isobench.errors import UsageError

if TYPE_CHECKING:
    from isobench.environments.container.images import Image
    from isobench.environments.install_context import InstallContext
    from isobench.environments.inventory import Package
    from isobench.environments.manifest import ImageFacts, Interpreter, Manifest
    from isobench.environments.specs import Spec
    from isobench.environments.store import Environment

# In the order in which `auto` prefers them.
_CLASSES = {
    "conda": "isobench.environments.conda.provider:CondaProvider",
    "venv": "isobench.environments.uv.provider:VenvProvider",
    "container": "isobench.environments.container.provider:ContainerProvider",
    "adopted": "isobench.environments.adopted:AdoptedProvider",
}
NAMES = tuple(_CLASSES)
DEFAULT = "venv"
"""The provider of a spec for which none was chosen."""
CONTAINER = "container"
"""The provider of runtimes that require a container."""


class Provider(ABC):
    """One way to install environments. It has no state, and knows nothing of file locks, manifests or smoke tests."""

    name: ClassVar[str]
    """The value of `--provider`, and a part of the names of its environments' folders."""
    description: ClassVar[str]
    """What it installs, with which tools: a few words for people."""
    reads_conda_lock: ClassVar[bool] = False
    """Does it install from `conda-lock.yml`, besides the lock of the Python packages?"""

    # What it needs, and what decides what it installs.

    @abstractmethod
    def can_install(self, spec: Spec) -> bool:
        """Whether the spec has the locks (or the image) that it installs from. Cheap: it looks only at files."""

    def require(self, spec: Spec) -> None:
        """Refuse a spec that it can't install.

        Raises:
            UsageError, ProvisionError: the spec lacks something; the hint says how to get it.
        """
        if not self.can_install(spec):
            raise spec.unlocked()

    def is_automatic(self, spec: Spec) -> bool:
        """Whether `auto` may choose it for this spec, among the providers that can install it."""
        return True

    def unavailable(self, spec: Spec) -> str:
        """Why it can't install the spec at this moment, "" if it can; `auto` then takes the next provider."""
        return ""

    def needs_lock(self, spec: Spec) -> bool:
        """Whether the spec must have a lock of Python packages."""
        return True

    def image(self, spec: Spec) -> Image | None:
        """The container image that the spec's environment runs in."""
        return None

    def identity_parts(self, spec: Spec) -> list[str]:
        """What decides what it installs, besides the platform and the version of Python."""
        return [spec.lock_sha256]

    def find(self, spec: Spec) -> Environment | None:
        """The spec's environment if it is ready."""
        from isobench.environments import store

        if not self.can_install(spec):
            return None
        environment = store.expected(spec)
        return environment if store.is_ready(environment.folder) else None

    # Installing.

    @abstractmethod
    def install(self, spec: Spec, context: InstallContext) -> dict[str, str]:
        """Install the environment, `folder/bin/python` and its packages; return the versions of the tools by name.

        Raises:
            ProvisionError: it failed. The folder is in an unknown state and must be removed.
        """

    def purge_cache(self, packages: Sequence[str], context: InstallContext) -> bool:
        """Remove packages whose files were modified from its cache; False if it couldn't, or has none."""
        return False

    def expected_packages(self, spec: Spec, found: Mapping[str, Package]) -> dict[str, str]:
        """Version by name of the packages that `found`, the Python packages installed by uv, must consist of."""
        return spec.locked()

    def python_release(self, environment: Environment, spec: Spec) -> tuple[str, str]:
        """Version ("3.11.9") and implementation ("CPython") of the Python that was installed."""
        from isobench.environments import inventory

        settings = inventory.pyvenv_settings(environment.prefix)
        return settings.get("version_info", spec.python), settings.get("implementation", "")

    def activation_variables(self, prefix: Path) -> dict[str, str]:
        """The variables that activating a new environment sets; PATH holds only what comes before the usual."""
        return {}

    def container_facts(self, folder: Path) -> ImageFacts | None:
        """What is known of the image that the environment in `folder` runs in."""
        return None

    # Using and comparing what is installed.

    def activation(self, environment: Environment) -> Mapping[str, str]:
        """The variables of `activation_variables`, as the manifest has them. Asked before each measurement."""
        return {}

    def run(
        self,
        environment: Environment,
        arguments: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        reads: Sequence[Path],
        log_file: Path,
        lock: int,
        timeout_s: float,
    ) -> int:
        """Run the environment's interpreter to its end, its output appended to `log_file`; return its exit status.

        `reads` are the files that it needs besides its own.

        Raises:
            TimeoutError: it took longer than `timeout_s`.
        """
        from isobench.system import process

        argv = [environment.python, *arguments]
        return process.run_logged(argv, env=env, log_file=log_file, timeout_s=timeout_s, pass_fds=[lock])

    def interpreter(self, environment: Environment) -> Interpreter | None:
        """The file that is run as Python; None if it is missing."""
        from isobench.environments import inventory

        return inventory.interpreter(environment.python)

    def watched_folders(self, environment: Environment) -> dict[str, Path]:
        """The folders, besides site-packages, whose files are compared, by the name that they have in the manifest."""
        return {"bin": environment.prefix / "bin"}

    def problems(self, environment: Environment, manifest: Manifest) -> list[str]:
        """What else differs from the manifest, a line each; part of a full verification only."""
        return []

    def remedy(self, environment: Environment) -> str:
        """A hint: the commands that install the environment again."""
        from isobench.environments import specs

        remove = f"isobench env remove {environment.folder.name}"
        if environment.name.endswith("-script"):
            return f"Remove it, and the next run of its script installs it again: {remove}"
        known = environment.name in specs.names()
        what = environment.name if known else "--file FOLDER/environment.yml"
        return f"Install it again: {remove} && isobench env create {what} --provider {self.name}"


@cache
def get(name: str) -> Provider:
    """The provider of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in _CLASSES:
        raise UsageError(f"there is no provider {name!r}", hint=f"The providers are: {', '.join(NAMES)}.")
    from importlib import import_module

    module, _, cls = _CLASSES[name].partition(":")
    provider: Provider = getattr(import_module(module), cls)()
    return provider
