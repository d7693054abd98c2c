"""A world of its own for each test: tiny wheels in a folder, environments of them, uv's cache, ISOBENCH_HOME.

Everything is real (uv, venvs, the command line in processes of its own), and nothing is fetched from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypedDict

import conda_world

from isobench import environments
from isobench.environments import Environment, Spec
from isobench.environments.conda import locking as conda_locks

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

RunPython = Callable[[Environment, str], str]
"""Runs a line of Python in an environment; returns what it prints."""


class LockOptions(TypedDict, total=False):
    """What `environments.lock` can be asked for."""

    platforms: Sequence[str]
    update: Sequence[str]
    check: bool
    upgrade: bool


def write_wheel(folder: Path, name: str, version: str, requires: Sequence[str], files: Mapping[str, str]) -> str:
    info = f"{name}-{version}.dist-info"
    contents = {
        f"{name}/__init__.py": f"VERSION = {version!r}\n",
        f"{name}/more.py": "value = 1\n",
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + "".join(f"Requires-Dist: {requirement}\n" for requirement in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {path: hashlib.sha256(text.encode()).digest() for path, text in contents.items()}
    rows = [f"{path},sha256={base64.urlsafe_b64encode(digests[path]).rstrip(b'=').decode()}," for path in contents]
    contents[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in contents.items():
            archive.writestr(zipfile.ZipInfo(path), text)  # without today's date: the same bytes each time
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


# What was locked before, by the text of its environment.yml: the channel stays the same for the whole session.
_LOCKS: dict[str, str] = {}


class Started(subprocess.Popen[bytes]):
    """A command that was started, and the file that it prints into."""

    log: Path


class World:
    """The packages `alpha` (1.0 and 2.0) and `beta` (1.0), and an environment `tiny` of alpha 1.0 and beta."""

    def __init__(self, root: Path, package: Path) -> None:
        self.root, self.wheels, self.envs, self.home = root, root / "wheels", root / "envs", root / "home"
        self.alpha = self.wheel("alpha", "1.0")
        self.alpha_2 = self.wheel("alpha", "2.0")
        self.beta = self.wheel("beta", "1.0")
        self.said: list[str] = []
        # The package as it is, but for `envs`: `python -m isobench` then knows the environments of this test alone.
        self.path = root / "path"
        (self.path / "isobench").mkdir(parents=True)
        for part in package.iterdir():
            if part.name not in {"envs", "__pycache__"}:
                (self.path / "isobench" / part.name).symlink_to(part)
        (self.path / "isobench" / "envs").symlink_to(self.envs)

    def wheel(
        self, name: str, version: str, *, requires: Sequence[str] = (), files: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """Add a wheel with the modules `NAME` and `NAME.more` (and `files`); return its entry for a lock."""
        return write_wheel(self.wheels, name, version, requires, files)

    def spec(
        self,
        lock: str | bytes | None = None,
        *,
        name: str = "tiny",
        smoke: str = "import alpha.more, beta.more\n",
        requirements: str = "alpha\nbeta\n",
        python: str = PYTHON,
    ) -> Spec:
        """Write an environment's folder and return its spec."""
        folder = self.envs / name
        folder.mkdir(parents=True, exist_ok=True)
        text = self.alpha + self.beta if lock is None else lock
        (folder / "requirements.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        (folder / "requirements.in").write_text(requirements)
        (folder / "python-version").write_text(f"{python}\n")
        (folder / "smoke.py").write_text(smoke)
        return environments.spec(name)

    def conda_spec(
        self, channel: str, *dependencies: str, name: str = "tiny", lock: bool = True, **options: str
    ) -> Spec:
        """`spec` with an `environment.yml` of Python and these, locked unless it's not to be."""
        spec = self.spec(name=name, **options)
        text = conda_world.environment_yml(channel, *dependencies, name=name)
        spec.environment_file.write_text(text)
        if lock and text not in _LOCKS:
            conda_locks.lock(spec, progress=self.said.append)
            _LOCKS[text] = spec.conda_lock_file.read_text()
        elif lock:
            spec.conda_lock_file.write_text(_LOCKS[text])
        return replace(environments.spec(name), provider="conda")

    def create(self, spec: Spec | None = None) -> Environment:
        self.said.clear()
        return environments.create(spec or self.spec(), progress=self.said.append)

    def left(self) -> list[str]:
        """The names of what lies where the environments are."""
        folder = self.home / "environments"
        return sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []

    def state(self) -> dict[Path, tuple[int, int, int]]:
        """Inode, size and time of change (not that of access) of all that lies in the home."""
        status = {file: file.lstat() for file in self.home.rglob("*")}
        return {file: (one.st_ino, one.st_size, one.st_mtime_ns) for file, one in status.items()}

    def start(self, *arguments: str, log: Path) -> Started:
        """Start `isobench env ARGUMENTS`; what it prints goes into the log."""
        with log.open("wb") as file:
            process = Started(self._argv(arguments), env=self._variables(), stdout=file, stderr=file)
        process.log = log
        return process

    def isobench(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `isobench env ARGUMENTS` to its end."""
        return subprocess.run(
            self._argv(arguments), env=self._variables() | variables, capture_output=True, text=True, check=False
        )

    def _argv(self, arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "isobench", "env", *arguments]

    def _variables(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.path)}
