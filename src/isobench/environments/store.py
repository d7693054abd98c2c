"""Where environments lie, and which of them are ready. Nothing here changes anything."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.environments import specs
from isobench.environments.specs import Spec
from isobench.errors import ProvisionError

MARKER_FILE = "isobench-environment.json"
MANIFEST_SCHEMA = "isobench.environment/2"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A ready environment: `python` is the interpreter to start, `site_packages` where its packages lie.

    `folder` holds the marker, and, unless it was adopted, all the rest. `prefix` is where its files begin. The hashes
    of the locks are empty where there was none: `conda_lock_sha256` is of the `conda` provider alone. `image`, of the
    `container` provider alone, is the container image in which `python` is run, and there only: on the host it's a link
    that leads nowhere, or to another interpreter.
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

    def manifest(self) -> dict[str, Any]:
        """What was laid down: provider, platform, Python, lock, packages, and what `drift` compares with.

        Raises:
            ProvisionError: the manifest can't be read, so nothing can be said of the environment.
        """
        import json

        try:
            manifest = json.loads(self.marker.read_bytes())
        except (OSError, ValueError) as error:
            raise ProvisionError(f"{self.marker} can't be read: {error}", hint=remedy(self)) from None
        if not isinstance(manifest, dict) or manifest.get("schema") != MANIFEST_SCHEMA:
            raise ProvisionError(f"{self.marker} is not of schema {MANIFEST_SCHEMA}", hint=remedy(self))
        return manifest

    def version_of(self, *names: str) -> str:
        """The version of the first of these packages that is in it, or in its image, if in use; "" if none is."""
        manifest = self.manifest()
        there = [*manifest.get("container", {}).get("packages", ()), *manifest["packages"]]
        versions = {specs.normalised(one["name"]): str(one["version"]) for one in there}
        wanted = [specs.normalised(name) for name in names]
        return next((versions[name] for name in wanted if name in versions), "")

    def activation(self) -> dict[str, str]:
        """The variables that conda's activation sets; in PATH, only what comes before the usual. {} without conda."""
        if self.provider in {"venv", "container"}:
            return {}  # what every warm run asks: nothing is read for it
        activation: dict[str, str] = self.manifest().get("activation", {})
        return activation


def activated(activation: dict[str, str], path: str) -> dict[str, str]:
    """An activation's variables, in front of the usual PATH; {} where nothing is activated."""
    if not activation:
        return {}
    return {**activation, "PATH": ":".join(filter(None, [activation["PATH"], path]))}


def remedy(environment: Environment) -> str:
    """The commands that bring an environment back to what its lock says."""
    remove = f"isobench env remove {environment.folder.name}"
    if environment.provider == "adopted":
        return f"isobench env adopt {environment.name} {environment.python} takes it as it is now"
    if environment.name.endswith("-script"):
        return f"{remove} (the next run of its script makes it anew)"
    if environment.name not in specs.names():
        return f"{remove} && isobench env create --file FOLDER/environment.yml"
    if environment.provider != "venv":
        return f"{remove} && isobench env create {environment.name} --provider {environment.provider}"
    return f"isobench env remove {environment.name} && isobench env create {environment.name}"


def folder_of(spec: Spec) -> Path:
    """Where the spec's environment lies, or will lie."""
    return paths.environments() / f"{spec.name}-{spec.provider}-{spec.identity()[:12]}"


def expected(spec: Spec) -> Environment:
    """The spec's environment, whether it's there or not."""
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
    """The spec's environment if it's ready; costs one hash of the lock and one look at the marker."""
    if spec.provider == "adopted":
        return adopted(spec.name)
    environment = expected(spec)
    return environment if is_ready(environment.folder) else None


def adopted(name: str) -> Environment | None:
    """The interpreter that was adopted for an environment, if there is one."""
    return next(ready(f"{name}-adopted-*"), None)


def is_ready(folder: Path) -> bool:
    """Whether the marker, which is written last, is there."""
    try:
        return stat.S_ISREG((folder / MARKER_FILE).stat().st_mode)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ProvisionError(
            f"{folder} can't be looked at: {error.strerror}", hint="set ISOBENCH_HOME to a folder that you can write to"
        ) from None


def opened(folder: Path) -> Environment:
    """The ready environment in a folder, from its own manifest (its spec may be gone or changed by now).

    Raises:
        OSError, ValueError, KeyError: there is no manifest that can be understood.
    """
    import json

    manifest = json.loads((folder / MARKER_FILE).read_bytes())
    if not isinstance(manifest, dict) or manifest.get("schema") != MANIFEST_SCHEMA:
        raise ValueError(f"not of schema {MANIFEST_SCHEMA}")
    minor = ".".join(manifest["python"]["version"].split(".")[:2])
    elsewhere = manifest.get("adopted")
    return Environment(
        name=manifest["name"],
        provider=manifest["provider"],
        identity=manifest["identity"],
        folder=folder,
        prefix=Path(elsewhere["prefix"]) if elsewhere else folder,
        python=Path(elsewhere["python"]) if elsewhere else folder / "bin" / "python",
        site_packages=Path(elsewhere["site_packages"])
        if elsewhere
        else folder / "lib" / f"python{minor}" / "site-packages",
        lock_sha256=manifest["lock_sha256"],
        conda_lock_sha256=manifest.get("conda_lock_sha256", ""),
        image=manifest.get("container", {}).get("image", ""),
    )


def ready(pattern: str = "*-*-*") -> Iterator[Environment]:
    """Every ready environment, also those of other locks and of scripts; one with a broken manifest is left out."""
    for folder in marked(pattern):
        try:
            yield opened(folder)
        except (OSError, ValueError, KeyError):
            continue


def marked(pattern: str = "*-*-*") -> list[Path]:
    """The folders of all environments that have a marker, whatever is in it."""
    return [marker.parent for marker in sorted(paths.environments().glob(f"{pattern}/{MARKER_FILE}"))]
