"""Which image an environment runs in, as `envs/NAME/container.toml` says:

    image = "docker.io/library/python@sha256:0123..."   # or "sha256:0123...", the ID of an image that was built here
    python = "python3.11"                                # optional: the interpreter in it; by default that of the lock
    image_packages = true                                # optional: its own Python packages can be imported, too

Without such a file, it is `container_image = "..."` in isobench's `config.toml`, or ISOBENCH_CONTAINER_IMAGE.
"""

from __future__ import annotations

import re
from pathlib import Path

from isobench.environments import config
from isobench.errors import UsageError
from isobench.record import record

FILE = "container.toml"
_KEYS = {"image": str, "python": str, "image_packages": bool}
_PINNED = re.compile(r"(?:[\w.:/-]+@)?sha256:[0-9a-f]{64}", re.ASCII)
_EXAMPLE = "docker.io/library/python@sha256:..."


@record(frozen=True, slots=True, kw_only=True)
class Image:
    """An image by its digest: `reference` is `NAME@sha256:...`, or `sha256:...` where only its ID is known.

    `python` is the name of the interpreter in it, or its path; `packages`: those of the image are used, too.
    """

    reference: str
    python: str
    packages: bool = False

    @property
    def digest(self) -> str:
        """What identifies its content, whatever its name: "sha256:..."."""
        return self.reference.rpartition("@")[2]

    @property
    def is_local(self) -> bool:
        """Whether only its ID is known, so that it can't be pulled."""
        return "@" not in self.reference


def is_named(folder: Path) -> bool:
    """Whether an image is configured for the environment in `folder`."""
    return (folder / FILE).is_file() or bool(_for_all()[0])


def source(folder: Path) -> str:
    """Where the image is configured: a file, or a variable."""
    return str(folder / FILE) if (folder / FILE).is_file() else _for_all()[1]


def of(name: str, folder: Path, python: str) -> Image:
    """The image of the environment `name` in `folder`, whose lock is for the minor version `python`.

    Raises:
        UsageError: none is configured, or not by its digest, or the file is malformed.
    """
    file = folder / FILE
    table = _read(file) if file.is_file() else {"image": _for_all()[0]}
    reference = str(table.get("image", ""))
    if not reference:
        raise UsageError(
            f"no container image is configured for the {name} environment",
            hint=f'Write image = "{_EXAMPLE}" into {file}, or set ISOBENCH_CONTAINER_IMAGE for all environments.',
        )
    return Image(
        reference=_pinned(reference, source(folder)),
        python=str(table.get("python", f"python{python}")),
        packages=bool(table.get("image_packages", False)),
    )


def _for_all() -> tuple[str, str]:
    return config.value("container_image", "ISOBENCH_CONTAINER_IMAGE")


def _read(file: Path) -> dict[str, str | bool]:
    from isobench.system import reading

    try:
        table = reading.read_toml(file)
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} can't be read: {error}", hint=f'Write for instance: image = "{_EXAMPLE}"') from None
    for key, value in table.items():
        if key not in _KEYS:
            raise UsageError(f"{file}: unknown key {key!r}", hint=f"The keys are: {', '.join(_KEYS)}.")
        if not isinstance(value, _KEYS[key]):
            wanted = "true or false" if _KEYS[key] is bool else "a string"
            raise UsageError(
                f"{file}: {key} must be {wanted}, got {value!r}", hint=f'Write for instance: image = "{_EXAMPLE}"'
            )
    return table


def _pinned(reference: str, where: str) -> str:
    """The reference without a tag, which has no meaning beside a digest.

    Raises:
        UsageError: it has no digest.
    """
    without_tag = re.sub(r":[^/:@]+(?=@)", "", reference)
    if _PINNED.fullmatch(without_tag):
        return without_tag
    if re.fullmatch(r"[\w.:/-]+", reference):
        raise UsageError(
            f"{where}: {reference} has no digest, and the image of a tag may change", hint=_how_to_pin(reference)
        )
    raise UsageError(f"{where}: {reference!r} is not an image", hint=f'Write for instance: image = "{_EXAMPLE}"')


def _how_to_pin(reference: str) -> str:
    """How to name the same image by its digest; if it is on this machine, the digest itself."""
    from isobench.environments.container import engine
    from isobench.errors import ProvisionError

    try:
        using = engine.find()
        found = using.inspect(reference)
    except ProvisionError:
        return f"Write NAME@sha256:... ({_EXAMPLE})."
    if found is None:
        return f"Pull it to see its digest in this message: {using.name} pull {reference}"
    pulled = next(iter(found.get("RepoDigests") or ()), "")
    return f"On this machine it is {pulled or 'sha256:' + found['Id'].removeprefix('sha256:')}."
