"""Where environments lie, and which of them are ready. Nothing here changes anything."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.environments.specs import Spec
from isobench.errors import ProvisionError

MARKER_FILE = "isobench-environment.json"
MANIFEST_SCHEMA = "isobench.environment/2"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A ready environment: `python` is the interpreter to start, `site_packages` where its packages lie."""

    name: str
    provider: str
    identity: str
    folder: Path
    python: Path
    site_packages: Path
    lock_sha256: str

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


def remedy(environment: Environment) -> str:
    """The commands that bring an environment back to what its lock says."""
    from isobench.environments import specs

    if environment.name in specs.names():
        return f"isobench env remove {environment.name} && isobench env create {environment.name}"
    return f"isobench env remove {environment.folder.name} (the next run of its script makes it anew)"


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
        python=folder / "bin" / "python",
        site_packages=folder / "lib" / f"python{spec.python}" / "site-packages",
        lock_sha256=spec.lock_sha256,
    )


def find(spec: Spec) -> Environment | None:
    """The spec's environment if it's ready; costs one hash of the lock and one look at the marker."""
    environment = expected(spec)
    return environment if is_ready(environment.folder) else None


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
    return Environment(
        name=manifest["name"],
        provider=manifest["provider"],
        identity=manifest["identity"],
        folder=folder,
        python=folder / "bin" / "python",
        site_packages=folder / "lib" / f"python{minor}" / "site-packages",
        lock_sha256=manifest["lock_sha256"],
    )


def ready() -> Iterator[Environment]:
    """Every ready environment, also those of other locks and of scripts; one with a broken manifest is left out."""
    for folder in marked():
        try:
            yield opened(folder)
        except (OSError, ValueError, KeyError):
            continue


def marked() -> list[Path]:
    """The folders of all environments that have a marker, whatever is in it."""
    return [marker.parent for marker in sorted(paths.environments().glob(f"*-*-*/{MARKER_FILE}"))]
