"""The `container` provider: the interpreter and its native libraries come from an image, the packages from the lock.

The result is what `python -m venv` would have made inside the image: a folder whose interpreter is a link to the
image's. It lies on the host, at the path at which the container sees it, so it is locked, hashed, listed and compared
like any other environment. Nothing is built, and no image of ours has to be stored anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isobench.environments.container import images
from isobench.environments.providers import Provider

if TYPE_CHECKING:
    from isobench.environments.install_context import InstallContext
    from isobench.environments.manifest import ImageFacts, Interpreter, Manifest
    from isobench.environments.specs import Spec
    from isobench.environments.store import Environment


class ContainerProvider(Provider):
    """Installs for the interpreter of an image. See `installing`."""

    name = "container"
    description = "podman or docker, and uv, from an image and requirements.txt"

    def can_install(self, spec: Spec) -> bool:
        return self.is_automatic(spec) or (spec.is_locked and images.is_named(spec.folder))

    def require(self, spec: Spec) -> None:
        images.of(spec.name, spec.folder, spec.python)
        if self.needs_lock(spec) and not spec.is_locked:
            raise spec.unlocked()

    def is_automatic(self, spec: Spec) -> bool:
        """Only where `container.toml` is all that says how to install the environment."""
        others = (spec.lock_file, spec.requirements_file, spec.conda_lock_file, spec.environment_file)
        return (spec.folder / images.FILE).is_file() and not any(file.exists() for file in others)

    def needs_lock(self, spec: Spec) -> bool:
        """Not where the image holds everything."""
        return spec.lock_file.exists() or spec.requirements_file.exists()

    def image(self, spec: Spec) -> images.Image:
        return images.of(spec.name, spec.folder, spec.python)

    def identity_parts(self, spec: Spec) -> list[str]:
        """The digest, not the name: a mirror's copy of the image is the same."""
        image = spec.image
        assert image is not None
        return [spec.lock_sha256, image.digest, image.python, str(image.packages)]

    def install(self, spec: Spec, context: InstallContext) -> dict[str, str]:
        from isobench.environments.container import installing

        return installing.install(spec, self.image(spec), context)

    def purge_cache(self, packages: Sequence[str], context: InstallContext) -> bool:
        """Purge uv's cache; the engine verifies its images."""
        from isobench.environments.uv import installing

        return installing.purge_cache(packages, context)

    def container_facts(self, folder: Path) -> ImageFacts:
        from isobench.environments.container import installing

        return installing.facts(folder)

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
        """Run the interpreter in a container, without `env`: variables of the host mean nothing there."""
        from isobench.environments.container import running
        from isobench.system import process

        container = running.of(environment, arguments, env={}, reads=reads)
        try:
            return process.run_logged(
                container.argv, env=os.environ, log_file=log_file, timeout_s=timeout_s, pass_fds=[lock]
            )
        finally:
            container.remove()

    def interpreter(self, environment: Environment) -> Interpreter | None:
        """The path in the image; on the host, the link leads nowhere or to another interpreter."""
        from isobench.environments.manifest import Interpreter

        if not environment.python.is_symlink():
            return None
        return Interpreter(path=str(environment.python.readlink()))

    def problems(self, environment: Environment, manifest: Manifest) -> list[str]:
        """Whether the image is still the same, which only the engine knows."""
        from isobench.environments.container import engine

        found = engine.find().inspect(environment.image)
        if found is None:
            return [f"its image {environment.image} is missing"]
        expected = manifest.container.id if manifest.container else ""
        if found["Id"].removeprefix("sha256:") != expected.removeprefix("sha256:"):
            return [f"its image was replaced: {environment.image} has the ID {found['Id']}"]
        return []
