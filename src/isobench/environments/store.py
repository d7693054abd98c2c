"""Where environments lie, and which of them are ready. Nothing here changes anything."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from isobench import paths
from isobench.environments import providers, specs
from isobench.environments.specs import Spec
from isobench.errors import ProvisionError
from isobench.record import record

if TYPE_CHECKING:
    from isobench.environments.manifest import Manifest

MARKER_FILE = "isobench-environment.json"
"""The manifest. An environment is ready if it has one."""


@record(frozen=True, kw_only=True)
class Environment:
    """A ready environment: `python` is the interpreter to start, `site_packages` the folder of its packages.

    `folder` holds the manifest and, unless the interpreter was adopted, everything else; `prefix` is the root of the
    installed files. The hashes of the locks are empty where there was no lock. `image` is the container image in which
    `python` must be run, "" if it runs on the host; with an image, `python` is a link that leads nowhere on the host.
    """

    name: str
    provider: str
    identity: str
    folder: Path
    prefix: Path
    python: Path
    site_packages: Path
    lock_sha256: str
    conda_lock_sha256: str = ""
    image: str = ""

    @property
    def marker(self) -> Path:
        return self.folder / MARKER_FILE

    def manifest(self) -> Manifest:
        """What was installed; it is read each time.

        Raises:
            ProvisionError: the manifest can't be read, so nothing is known of the environment.
        """
        from isobench.environments import manifest

        try:
            return manifest.read(self.marker)
        except (OSError, ValueError) as error:
            raise ProvisionError(f"the manifest {self.marker} can't be read: {error}", hint=remedy(self)) from None

    def version_of(self, *names: str) -> str:
        """The version of the first of these packages that is installed, or in the image if it is in use; "" if none."""
        manifest = self.manifest()
        of_image = {specs.normalised(package.name): package.version for package in manifest.image_packages}
        versions = of_image | manifest.versions()
        wanted = [specs.normalised(name) for name in names]
        return next((versions[name] for name in wanted if name in versions), "")

    def activation(self) -> Mapping[str, str]:
        """The variables that conda's activation sets; PATH holds only what comes before the usual. {} without conda."""
        return providers.get(self.provider).activation(self)


def activated(activation: Mapping[str, str], path: str) -> dict[str, str]:
    """An activation's variables, in front of the usual PATH; {} where nothing is activated."""
    if not activation:
        return {}
    return {**activation, "PATH": ":".join(filter(None, [activation["PATH"], path]))}


def remedy(environment: Environment) -> str:
    """The commands that install an environment again, as its lock says."""
    return providers.get(environment.provider).remedy(environment)


def folder_of(spec: Spec) -> Path:
    """The folder of the spec's environment, whether it exists or not."""
    return paths.environments() / f"{spec.name}-{spec.provider}-{spec.identity()[:12]}"


def expected(spec: Spec) -> Environment:
    """The spec's environment, whether it exists or not."""
    folder = folder_of(spec)
    return Environment(
        name=spec.name,
        provider=spec.provider,
        identity=spec.identity(),
        folder=folder,
        prefix=folder,
        python=folder / "bin" / "python",
        site_packages=folder / "lib" / f"python{spec.python}" / "site-packages",
        lock_sha256=spec.lock_sha256,
        conda_lock_sha256=spec.conda_lock_sha256,
        image=spec.image.reference if spec.image else "",
    )


def in_folder(name: str) -> Environment | None:
    """The ready environment in the folder of that name: of whatever provider, or of an older lock."""
    return next((environment for environment in ready() if environment.folder.name == name), None)


def find(spec: Spec) -> Environment | None:
    """The environment of the spec and its provider if it is ready; costs one hash of the lock and one `stat`."""
    return providers.get(spec.provider).find(spec)


def is_ready(folder: Path) -> bool:
    """Whether the manifest, which is written last, exists."""
    try:
        return stat.S_ISREG((folder / MARKER_FILE).stat().st_mode)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ProvisionError(
            f"{folder} can't be read: {error.strerror}", hint="Set ISOBENCH_HOME to a folder that you can write to."
        ) from None


def opened(folder: Path) -> Environment:
    """The ready environment in a folder, from its own manifest: its spec may have been removed or changed.

    Raises:
        OSError, ValueError: it has no manifest, or one that this version can't read.
    """
    from isobench.environments import manifest as manifests

    manifest = manifests.read(folder / MARKER_FILE)
    if manifest.provider not in providers.NAMES:
        raise ValueError(f"of an unknown provider, {manifest.provider}")
    minor = ".".join(manifest.python.version.split(".")[:2])
    place = manifest.adopted or manifests.Adopted(
        prefix=folder,
        python=folder / "bin" / "python",
        site_packages=folder / "lib" / f"python{minor}" / "site-packages",
    )
    return Environment(
        name=manifest.name,
        provider=manifest.provider,
        identity=manifest.identity,
        folder=folder,
        prefix=place.prefix,
        python=place.python,
        site_packages=place.site_packages,
        lock_sha256=manifest.lock_sha256,
        conda_lock_sha256=manifest.conda_lock_sha256,
        image=manifest.container.image if manifest.container else "",
    )


def ready(pattern: str = "*-*-*") -> Iterator[Environment]:
    """Every ready environment, also those of other locks and of scripts, but not one with a broken manifest."""
    for folder in marked(pattern):
        try:
            yield opened(folder)
        except (OSError, ValueError):
            continue


def marked(pattern: str = "*-*-*") -> list[Path]:
    """The folders of all environments that have a manifest, whatever is in it."""
    return [marker.parent for marker in sorted(paths.environments().glob(f"{pattern}/{MARKER_FILE}"))]
