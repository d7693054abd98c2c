"""What an environment is to be: a folder under `envs/` that a person wrote, with the lock that was resolved from it."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from isobench import paths
from isobench.errors import ProvisionError, UsageError

PYTHON_VERSION_FILE = "python-version"
REQUIREMENTS_FILE = "requirements.in"
LOCK_FILE = "requirements.txt"
SMOKE_FILE = "smoke.py"

_PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One environment as it is to be.

    `folder` holds `requirements.in`, `python-version` and `smoke.py`, the test that decides whether a new environment
    is ready; `python` is the minor version that the lock is for ("3.11"); `for_script` says that a model script asked
    for it with a block of its own.
    """

    name: str
    folder: Path
    python: str
    lock_file: Path
    provider: str = "venv"
    for_script: bool = False

    @property
    def requirements_file(self) -> Path:
        return self.folder / REQUIREMENTS_FILE

    @property
    def smoke_file(self) -> Path:
        return self.folder / SMOKE_FILE

    @property
    def relock(self) -> str:
        """The command that makes the lock anew."""
        if self.for_script:
            return f"rm -r {self.lock_file.parent} (the next run of its script makes it anew)"
        return f"isobench env lock {self.name}"

    @cached_property
    def lock_sha256(self) -> str:
        """The SHA-256 of the lock's bytes (64 hex digits)."""
        import hashlib

        try:
            return hashlib.sha256(self.lock_file.read_bytes()).hexdigest()
        except OSError as error:
            raise ProvisionError(
                f"the lock of {self.name}, {self.lock_file}, can't be read: {error.strerror}",
                hint=self.relock,
            ) from None

    def identity(self, provider: str = "") -> str:
        """The SHA-256 (64 hex digits) of all that decides what the environment holds: another value, another folder."""
        import hashlib

        parts = ("isobench.environment/2", provider or self.provider, platform_name(), self.python, self.lock_sha256)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def locked(self) -> dict[str, str]:
        """Version by name (normalised) of every package in the lock.

        Raises:
            ProvisionError: it names none.
        """
        pins = _PINNED.findall(self.lock_file.read_text(encoding="utf-8", errors="replace"))
        if not pins:
            raise ProvisionError(
                f"the lock of {self.name}, {self.lock_file}, is damaged: it names no package",
                hint=f"make it anew: {self.relock}",
            )
        return {normalised(name): version for name, version in pins}


def normalised(name: str) -> str:
    """A package's name as the packaging standard writes it, so that two spellings compare equal."""
    return re.sub(r"[-_.]+", "-", name).lower()


def platform_name() -> str:
    """System, processor and C library, as far as wheels are told apart by them: "linux-x86_64-glibc"."""
    try:
        libc = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")[0]
    except (ValueError, OSError):
        libc = "musl"
    return f"{sys.platform}-{os.uname().machine}-{libc}"


def names() -> list[str]:
    """The environments that isobench knows, in alphabetical order."""
    return sorted(file.parent.name for file in paths.ENVS.glob(f"*/{PYTHON_VERSION_FILE}"))


def spec(name: str) -> Spec:
    """The spec of that name.

    Raises:
        UsageError: there is none; the message names those that are.
    """
    folder = paths.ENVS / name
    try:
        if folder.name != name:
            raise FileNotFoundError(name)  # a path, not a name
        python = (folder / PYTHON_VERSION_FILE).read_text(encoding="ascii").strip()
    except OSError:
        raise unknown(name, names()) from None
    return Spec(name=name, folder=folder, python=python, lock_file=folder / LOCK_FILE)


def unknown(name: str, known: list[str]) -> UsageError:
    """The error for a name that isn't there, with the closest that is."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    return UsageError(f"there is no environment {name!r}{meant}", hint=f"the environments are: {', '.join(known)}")
