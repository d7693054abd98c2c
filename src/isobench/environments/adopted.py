"""Interpreters that isobench didn't lay down: a lab's conda environment, a site's install.

One is adopted by writing down what is in it, after it has passed the smoke test of the environment that it is to stand
for. From then on it's compared with that before each measurement, as any other. Nothing in it is ever changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.environments import provision, store, verification
from isobench.environments.conda import activation
from isobench.environments.file_lock import FileLock
from isobench.environments.providers import InstallContext
from isobench.environments.specs import Spec, platform_name
from isobench.environments.store import Environment
from isobench.errors import ProvisionError, UsageError
from isobench.system import process

_ASK = (
    "import json, os, platform, sys, sysconfig; print(json.dumps({'prefix': sys.prefix, 'python': sys.executable,"
    " 'site_packages': sysconfig.get_path('purelib'), 'version': platform.python_version(),"
    " 'implementation': platform.python_implementation()}))"
)


def adopt(spec: Spec, prefix_or_python: Path, *, progress: Callable[[str], None]) -> Environment:
    """Take an interpreter as the spec's environment, in place of one that was adopted before.

    Raises:
        UsageError: there is no interpreter.
        ProvisionError: it can't be run, or lacks what the environment is for.
    """
    python = _interpreter(prefix_or_python)
    about = _about(python)
    elsewhere = {key: about[key] for key in ("prefix", "python", "site_packages")}
    seen = Environment(
        name=spec.name,
        provider="adopted",
        identity="",
        folder=Path(),
        prefix=Path(about["prefix"]),
        python=python,
        site_packages=Path(about["site_packages"]),
        lock_sha256="",
    )
    contents = verification.contents(seen)
    seen = replace(seen, identity=_identity(elsewhere, contents))
    folder = paths.environments() / f"{spec.name}-adopted-{seen.identity[:12]}"
    activated = activation.variables(seen.prefix) if contents["conda_packages"] else {}
    # One at a time for all of an environment's: two would remove each other's.
    one_for_all = paths.environments() / f"{spec.name}-adopted.lock"
    with FileLock(one_for_all, making=spec.name, progress=progress) as lock:
        context = InstallContext(folder=folder, log_file=provision.beside(folder, ".log"), lock=lock, progress=progress)
        context.log_file.unlink(missing_ok=True)
        progress(f"{spec.name}: trying {python}")
        provision.smoke(spec, seen, context, activated)
        folder.mkdir(parents=True, exist_ok=True)
        context.log_file.replace(folder / "provision.log")
        python_facts = {key: about[key] for key in ("version", "implementation")} | verification.interpreter(python)
        manifest = verification.manifest(
            seen, spec, contents, python=python_facts, tools={}, adopted=elsewhere, activation=activated
        )
        provision.mark(folder / store.MARKER_FILE, manifest)
        for other in provision.folders_of(spec.name):
            if other.name.startswith(f"{spec.name}-adopted-") and other != folder:
                provision.remove(other.name, progress=progress)
        return store.opened(folder)


def _interpreter(prefix_or_python: Path) -> Path:
    place = prefix_or_python.expanduser().absolute()
    python = place / "bin" / "python" if place.is_dir() else place
    if not python.is_file():
        raise UsageError(
            f"there is no interpreter at {python}", hint="name a Python, or a folder that has bin/python in it"
        )
    return python


def _identity(elsewhere: dict[str, str], contents: dict[str, Any]) -> str:
    parts = ["isobench.adopted/1", platform_name(), elsewhere, contents["packages"], contents["conda_packages"]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _about(python: Path) -> dict[str, Any]:
    try:
        said = process.capture([python, "-I", "-B", "-c", _ASK], env={"PATH": "/usr/bin:/bin"})
        about: dict[str, Any] = json.loads(said)
    except (OSError, ValueError) as error:
        raise ProvisionError(
            f"{python} can't be run as a Python", details=str(error), hint="name a Python that works"
        ) from None
    return about
