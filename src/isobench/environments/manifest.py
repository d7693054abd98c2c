"""An environment's manifest: what was installed in it, as `isobench-environment.json` records it.

It is written last, so an environment is ready if it has one, and compared with the files before each measurement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from isobench.record import record

SCHEMA = "isobench.environment/2"


class ManifestError(ValueError):
    """It is not a manifest of this schema; the message says what is wrong with it."""


@record(frozen=True, slots=True, kw_only=True)
class Package:
    """A Python package that uv or pip installed; `name` is normalised."""

    name: str
    version: str
    record_sha256: str


@record(frozen=True, slots=True, kw_only=True)
class CondaPackage:
    """A conda package; `record_sha256` is that of its file in `conda-meta`."""

    name: str
    version: str
    build: str
    url: str
    record_sha256: str


@record(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """The file that is run as Python; of one in an image only the path is known, and its digest decides the rest."""

    path: str
    size_bytes: int | None = None
    mtime_ns: int | None = None


@record(frozen=True, slots=True, kw_only=True)
class Python:
    """The Python of an environment: its full version ("3.11.9"), its implementation ("CPython", "" if unknown)."""

    version: str
    implementation: str
    interpreter: Interpreter


@record(frozen=True, slots=True, kw_only=True)
class ImagePackage:
    """A Python package that the image contains."""

    name: str
    version: str


@record(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """The image that an environment runs in: its reference, its ID ("sha256:..."), its interpreter and C library.

    `packages` are the image's own, if the environment uses them.
    """

    image: str
    id: str
    python: str
    libc: str
    packages: tuple[ImagePackage, ...] = ()


@record(frozen=True, slots=True, kw_only=True)
class Adopted:
    """Where an adopted interpreter lies, which isobench didn't install."""

    prefix: Path
    python: Path
    site_packages: Path


@record(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is installed. `unowned` maps files of no package to their content, `fingerprints` folders to a digest.

    Both are as `inventory.unowned` and `inventory.fingerprints` return them.
    """

    packages: tuple[Package, ...]
    conda_packages: tuple[CondaPackage, ...]
    unowned: Mapping[str, str]
    fingerprints: Mapping[str, str]


@record(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What was installed, and from what.

    `lock_sha256`, `conda_lock_sha256` and `lock_file` are empty where there was no lock, `tools` are the versions of
    the installers by name, `activation` the variables that conda's activation sets.
    """

    name: str
    provider: str
    identity: str
    platform: str
    lock_sha256: str
    lock_file: str
    pyvenv_cfg: Mapping[str, str]
    contents: Contents
    python: Python
    tools: Mapping[str, str]
    created_at: str
    conda_lock_sha256: str = ""
    activation: Mapping[str, str] = field(default_factory=dict)
    container: ImageFacts | None = None
    adopted: Adopted | None = None

    @property
    def packages(self) -> tuple[Package, ...]:
        return self.contents.packages

    @property
    def conda_packages(self) -> tuple[CondaPackage, ...]:
        return self.contents.conda_packages

    @property
    def image_packages(self) -> tuple[ImagePackage, ...]:
        return self.container.packages if self.container else ()

    def versions(self) -> dict[str, str]:
        """Version by name (normalised) of the Python packages that were installed; those of an image aren't in it."""
        return {package.name: package.version for package in self.packages}


def read(file: Path) -> Manifest:
    """The manifest in a file.

    Raises:
        OSError: it can't be read.
        ManifestError: its content is wrong.
        ValueError: it isn't JSON.
    """
    from isobench.system import reading

    return from_json(reading.read_json(file))


def write(file: Path, manifest: Manifest) -> None:
    """Write a manifest whole or not at all, also if the power fails.

    Raises:
        OSError: it can't be written.
    """
    import json

    from isobench.system.files import write_atomically

    write_atomically(file, json.dumps(to_json(manifest), indent=1) + "\n", durable=True)


def to_json(manifest: Manifest) -> dict[str, Any]:
    """The manifest as JSON; members that don't apply to its provider are left out."""
    from dataclasses import asdict

    members = asdict(manifest)
    python = members.pop("python")
    interpreter = {key: value for key, value in python.pop("interpreter").items() if value is not None}
    members = {"schema": SCHEMA, **members, **members.pop("contents"), "python": {**python, **interpreter}}
    del members["contents"]
    for optional in ("conda_lock_sha256", "activation", "container", "adopted"):
        if not members[optional]:
            del members[optional]
    if manifest.adopted:
        members["adopted"] = {name: str(path) for name, path in members["adopted"].items()}
    return members


def from_json(value: object) -> Manifest:
    """The record of a manifest's JSON. Members that this version doesn't know are ignored.

    Raises:
        ManifestError: see `read`.
    """
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise ManifestError(f"not of schema {SCHEMA}")
    return Manifest(
        **_texts(value, ("name", "provider", "identity", "platform", "lock_sha256", "lock_file", "created_at")),
        pyvenv_cfg=_table(value, "pyvenv_cfg"),
        contents=Contents(
            packages=tuple(Package(**_texts(one, _PACKAGE)) for one in _list(value, "packages")),
            conda_packages=tuple(CondaPackage(**_texts(one, _CONDA_PACKAGE)) for one in _list(value, "conda_packages")),
            unowned=_table(value, "unowned"),
            fingerprints=_table(value, "fingerprints"),
        ),
        python=_python(value.get("python")),
        tools=_table(value, "tools"),
        conda_lock_sha256=str(value.get("conda_lock_sha256", "")),
        activation=_table(value, "activation"),
        container=container_from_json(value["container"]) if value.get("container") else None,
        adopted=_adopted(value["adopted"]) if value.get("adopted") else None,
    )


def container_from_json(value: object) -> ImageFacts:
    """The record of what is known of an image.

    Raises:
        ManifestError: see `read`.
    """
    texts = _texts(value, ("image", "id", "python", "libc"))
    packages = tuple(ImagePackage(**_texts(one, ("name", "version"))) for one in _list(value, "packages"))
    return ImageFacts(**texts, packages=packages)


_PACKAGE = ("name", "version", "record_sha256")
_CONDA_PACKAGE = (*_PACKAGE, "build", "url")


def _python(value: object) -> Python:
    texts = _texts(value, ("version", "implementation", "path"))
    assert isinstance(value, dict)
    size, mtime = value.get("size_bytes"), value.get("mtime_ns")
    if not all(number is None or isinstance(number, int) for number in (size, mtime)):
        raise ManifestError("'size_bytes' and 'mtime_ns' must be integers")
    return Python(
        version=texts["version"],
        implementation=texts["implementation"],
        interpreter=Interpreter(path=texts["path"], size_bytes=size, mtime_ns=mtime),
    )


def _adopted(value: object) -> Adopted:
    texts = _texts(value, ("prefix", "python", "site_packages"))
    return Adopted(**{name: Path(text) for name, text in texts.items()})


def _texts(value: object, names: tuple[str, ...]) -> dict[str, str]:
    """These members of a JSON object, each a string."""
    if not isinstance(value, dict):
        raise ManifestError(f"must be an object with {', '.join(names)}, got {type(value).__name__}")
    for name in names:
        if not isinstance(value.get(name), str):
            raise ManifestError(f"{name!r} must be a string, got {type(value.get(name)).__name__}")
    return {name: value[name] for name in names}


def _table(value: Mapping[str, Any], name: str) -> dict[str, str]:
    """A member that maps strings to strings; {} if it is missing."""
    found = value.get(name, {})
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise ManifestError(f"{name!r} must map strings to strings")
    return found


def _list(value: object, name: str) -> list[object]:
    """A member that is a list; [] if it is missing."""
    found = value.get(name, []) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise ManifestError(f"{name!r} must be a list, got {type(found).__name__}")
    return found
