"""What an environment should be: a folder under `envs/`, written by a person, with the lock resolved from it."""

from __future__ import annotations

import os
import re
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from isobench import paths, plugins
from isobench.environments import providers
from isobench.errors import ProvisionError, UsageError
from isobench.record import record
from isobench.system import files, reading

if TYPE_CHECKING:
    from isobench.environments.container.images import Image

PYTHON_VERSION_FILE = "python-version"
REQUIREMENTS_FILE = "requirements.in"
LOCK_FILE = "requirements.txt"
ENVIRONMENT_FILE = "environment.yml"
CONDA_LOCK_FILE = "conda-lock.yml"
SMOKE_FILE = "smoke.py"
DEVICE_FILE = "device"
SDISTS_FILE = "sdists"
BUILD_CONSTRAINTS_FILE = "build-constraints.txt"
NO_PACKAGES = "# conda's own packages are all: nothing is laid over them.\n"
"""The lock of the Python packages if none are requested. Its text decides identities, so it must not change."""

_PINNED = r"(?m)^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)"


@record(frozen=True, kw_only=True)
class Spec:
    """One environment as it should be.

    `folder` holds `requirements.in`, `python-version` and `smoke.py`, the test that a new environment must pass; for
    the `conda` provider also `environment.yml` with its lock, and for the `container` provider `container.toml`. A file
    `device` names the family of devices that the environment is for, a file `sdists` the packages that have no wheels.

    `python` is the minor version that the lock is for ("3.11"). `for_script`: the environment belongs to a model script
    with dependencies of its own. `in_container`: its runtime requires a container, whichever provider is requested.
    """

    name: str
    folder: Path
    python: str
    lock_file: Path
    provider: str = providers.DEFAULT
    for_script: bool = False
    in_container: bool = False

    @property
    def requirements_file(self) -> Path:
        return self.folder / REQUIREMENTS_FILE

    @property
    def environment_file(self) -> Path:
        return self.folder / ENVIRONMENT_FILE

    @property
    def conda_lock_file(self) -> Path:
        """The lock of the interpreter and the native libraries; `lock_file` is that of the Python packages."""
        return self.folder / CONDA_LOCK_FILE

    @cached_property
    def image(self) -> Image | None:
        """The container image that it runs in, if its provider uses one."""
        return providers.get(self.provider).image(self)

    @property
    def smoke_file(self) -> Path:
        return self.folder / SMOKE_FILE

    @property
    def is_locked(self) -> bool:
        """Is there a lock? isobench ships some environments without: their packages can't be resolved everywhere."""
        return self.lock_file.exists()

    @property
    def device(self) -> str:
        """The family of devices that it needs; "" if it works on any machine."""
        return self._text(DEVICE_FILE).strip()

    @property
    def sdists(self) -> list[str]:
        """The packages that are built from source, unless conda has built them; normalised names."""
        return [normalised(name) for name in self._text(SDISTS_FILE).split()]

    @property
    def build_constraints_file(self) -> Path:
        """Versions and hashes of the packages that the sdists are built with."""
        return self.folder / BUILD_CONSTRAINTS_FILE

    @property
    def relock(self) -> str:
        """The command that resolves the lock again."""
        if self.for_script:
            return f"rm -r {self.lock_file.parent} (the next run of its script resolves it again)"
        if self.folder.parent not in plugins.envs() and self.environment_file.exists():
            return f"isobench env lock --file {self.environment_file}"
        return f"isobench env lock {self.name}"

    @cached_property
    def lock_sha256(self) -> str:
        """The SHA-256 of the lock's bytes (64 hex digits); "" if the provider needs no lock."""
        return self._sha256(self.lock_file) if self._needs_lock else ""

    @cached_property
    def conda_lock_sha256(self) -> str:
        """The SHA-256 of the bytes of `conda-lock.yml`; "" if the provider doesn't read it."""
        return self._sha256(self.conda_lock_file) if providers.get(self.provider).reads_conda_lock else ""

    def unlocked(self) -> ProvisionError:
        """The error for a lock that is missing."""
        only_conda = self.is_locked and self.environment_file.exists() and not self.conda_lock_file.exists()
        missing = self.conda_lock_file if only_conda else self.lock_file
        return ProvisionError(
            f"the {self.name} environment isn't locked: {missing} does not exist",
            hint=f"Lock it: {self.relock}; or use an interpreter that exists:"
            f" isobench env adopt {self.name} PREFIX_OR_PYTHON",
        )

    def _text(self, name: str) -> str:
        try:
            return reading.read_text(self.folder / name, errors="replace")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise _unreadable(self.folder / name, error) from None

    @property
    def _needs_lock(self) -> bool:
        return providers.get(self.provider).needs_lock(self)

    def _sha256(self, file: Path) -> str:
        try:
            return files.sha256(file)
        except FileNotFoundError:
            raise self.unlocked() from None
        except OSError as error:
            raise ProvisionError(
                f"the lock of {self.name}, {file}, can't be read: {error.strerror}",
                hint=f"Resolve it again: {self.relock}",
            ) from None

    def identity(self) -> str:
        """The SHA-256 (64 hex digits) of everything that decides what is installed: another value, another folder."""
        parts = ["isobench.environment/2", self.provider, platform_name(), self.python]
        parts += providers.get(self.provider).identity_parts(self)
        return files.sha256_of("\n".join(parts).encode())

    def locked(self) -> dict[str, str]:
        """Version by name (normalised) of every package in the lock; {} if the provider needs none.

        Raises:
            ProvisionError: the lock names no package.
        """
        if not self._needs_lock:
            return {}
        text = text_of(self.lock_file)
        pins = re.findall(_PINNED, text)
        if not pins and text != NO_PACKAGES:
            raise ProvisionError(
                f"the lock of {self.name}, {self.lock_file}, is damaged: it names no package",
                hint=f"Resolve it again: {self.relock}",
            )
        return {normalised(name): version for name, version in pins}


def normalised(name: str) -> str:
    """A package's name as the packaging standard writes it, so that two spellings compare equal."""
    return re.sub(r"[-_.]+", "-", name).lower()


def platform_name() -> str:
    """System, processor and C library, as far as wheels depend on them: "linux-x86_64-glibc"."""
    try:
        libc = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")[0]
    except (ValueError, OSError):
        libc = "musl"
    return f"{sys.platform}-{os.uname().machine}-{libc}"


def subdir() -> str:
    """This machine's platform by conda's name: "linux-64"."""
    system = {"linux": "linux", "darwin": "osx"}.get(sys.platform, sys.platform)
    machine = os.uname().machine
    return f"{system}-{'64' if machine == 'x86_64' else machine}"


def names() -> list[str]:
    """The environments that isobench knows, the user's own among them, in alphabetical order."""
    return sorted(
        {
            file.parent.name
            for folder in plugins.envs()
            for file in (*folder.glob(f"*/{PYTHON_VERSION_FILE}"), *folder.glob(f"*/{ENVIRONMENT_FILE}"))
        }
    )


def spec(name: str) -> Spec:
    """The spec of that name; one of the user's own overrides isobench's.

    Raises:
        UsageError: there is none, and the hint lists the names; or two plugins provide one.
    """
    found = [
        parent / name
        for parent in plugins.envs()
        if Path(name).name == name
        and any((parent / name / file).is_file() for file in (PYTHON_VERSION_FILE, ENVIRONMENT_FILE))
    ]
    if not found:
        raise unknown(name, names())
    own = found[0].parent in paths.envs()[:-1]
    if len(found) > 1 and not own:
        raise UsageError(
            f"two packages provide an environment {name!r}: {found[0]} and {found[1]}",
            hint="Uninstall one of them, or copy the one that you want to your --envs-dir.",
        )
    return _in_folder(name, found[0])


def of_file(environment_file: Path) -> Spec:
    """The spec of an `environment.yml`, wherever it lies; its name is in the file, or else that of the folder.

    Raises:
        UsageError: there is no such file, or the name isn't valid.
    """
    if not environment_file.is_file():
        raise UsageError(f"there is no file {environment_file}", hint="Name it: --file FOLDER/environment.yml")
    if environment_file.name != ENVIRONMENT_FILE:
        raise UsageError(
            f"--file must be called {ENVIRONMENT_FILE}, got {environment_file}",
            hint="Rename it; each environment has a folder of its own.",
        )
    text = text_of(environment_file)
    found = re.search(r"^name:[ \t]*[\"']?([^\s\"'#]+)", text, re.MULTILINE)
    folder = environment_file.absolute().parent
    name = found[1] if found else folder.name
    if not re.fullmatch(r"[A-Za-z0-9][\w.]*(-[\w.]+)*", name):
        raise UsageError(
            f"{name!r} can't be the name of an environment",
            hint=f"Write for instance `name: my-env` in {environment_file}.",
        )
    return _in_folder(name, folder)


def _in_folder(name: str, folder: Path) -> Spec:
    return Spec(name=name, folder=folder, python=_python_of(folder), lock_file=folder / LOCK_FILE)


def _python_of(folder: Path) -> str:
    """The minor version of Python that a spec's folder requests."""
    file = folder / PYTHON_VERSION_FILE
    if file.exists():
        text = text_of(file).strip()
        if not re.fullmatch(r"3\.\d+", text, re.ASCII):
            raise UsageError(
                f"{file} must hold a minor version of Python, got {text!r}", hint="Write for instance 3.11."
            )
        return text
    text = text_of(folder / ENVIRONMENT_FILE)
    found = re.search(r"^\s*-\s*[\"']?(?:[\w-]+::)?python\s*[=~><]*\s*(3\.\d+)", text, re.MULTILINE)
    if found is None:
        raise UsageError(
            f"{folder / ENVIRONMENT_FILE} names no version of Python",
            hint=f"Add the dependency `python 3.11.*`, or a file {PYTHON_VERSION_FILE} beside it.",
        )
    return found[1]


def text_of(file: Path) -> str:
    """The text of a file of a spec.

    Raises:
        UsageError: it can't be read.
    """
    try:
        return reading.read_text(file, errors="replace")
    except OSError as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: OSError) -> UsageError:
    return UsageError(f"{file} can't be read: {error.strerror}", hint="Fix or delete it.")


def unknown(name: str, known: list[str]) -> UsageError:
    """The error for an unknown environment, with the closest known name."""
    from isobench.system.names import did_you_mean

    return UsageError(
        f"there is no environment {name!r}{did_you_mean(name, known)}",
        hint=f"The environments are: {', '.join(known)}.",
    )
