"""Making and removing environments.

An environment is made from empty, in its final place (its scripts carry absolute paths), under a file lock; its marker
is written last and atomically. So a folder without a marker is an unfinished build whose maker is gone: it's removed
and built anew, never repaired, because no tool's repair can be trusted after a `kill -9`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.environments import inventory, store, verification
from isobench.environments.conda import activation, meta
from isobench.environments.conda.provider import Conda
from isobench.environments.container.provider import Container
from isobench.environments.file_lock import FileLock
from isobench.environments.providers import InstallContext, Provider
from isobench.environments.specs import Spec, names, unknown
from isobench.environments.store import Environment
from isobench.environments.uv.provider import Venv
from isobench.errors import ProvisionError
from isobench.system import process
from isobench.system.files import write_atomically

PROVIDERS: dict[str, Callable[[], Provider]] = {"conda": Conda, "container": Container, "venv": Venv}

_SMOKE_TIMEOUT_S = 600


def create(spec: Spec, *, progress: Callable[[str], None]) -> Environment:
    """Make the spec's environment, or wait for whoever is making it; no-op where it's ready.

    Raises:
        ProvisionError: it couldn't be made. Nothing is left of it but a log, which the message names.
    """
    environment = store.expected(spec)
    folder = environment.folder
    with FileLock(beside(folder, ".lock"), making=spec.name, progress=progress) as lock:
        if not store.is_ready(folder):
            context = InstallContext(folder=folder, log_file=beside(folder, ".log"), lock=lock, progress=progress)
            context.log_file.unlink(missing_ok=True)
            try:
                _make(spec, environment, PROVIDERS[spec.provider](), context)
            except OSError as error:
                raise ProvisionError(
                    f"the {spec.name} environment can't be made: {error.filename or folder}: {error.strerror}",
                    hint="free some space, or set ISOBENCH_HOME to a folder that you can write to",
                ) from None
            finally:
                if not store.is_ready(folder):
                    shutil.rmtree(folder, ignore_errors=True)
    return environment


def _make(spec: Spec, environment: Environment, provider: Provider, context: InstallContext) -> None:
    start = time.monotonic()
    _empty(context.folder)
    tools = provider.install(spec, context)
    spoilt = inventory.all_altered(verification.layer(environment))
    if spoilt:
        context.progress(
            f"{spec.name}: the cache holds changed files of {', '.join(sorted(spoilt))}: fetching them anew"
        )
        provider.purge_cache(sorted(spoilt), context)
        _empty(context.folder)
        tools = provider.install(spec, context)
        spoilt = inventory.all_altered(verification.layer(environment))
    problems = [f"{name}: {line}" for name, lines in sorted(spoilt.items()) for line in lines]
    problems += meta.altered(context.folder, meta.packages(context.folder))
    problems += verification.lock_problems(spec, environment)
    if problems:
        raise ProvisionError(
            f"what was laid down for {spec.name} isn't what its lock says: {problems[0]}",
            details="\n".join([*problems[:20], f"log: {context.log_file}"]),
            hint="empty uv's cache (uv cache clean), then try again",
        )
    activated = activation.variables(context.folder) if spec.provider == "conda" else {}
    context.progress(f"{spec.name}: trying what was installed")
    smoke(spec, environment, context, activated)
    manifest = verification.describe(environment, spec, tools, activated)
    # The log is worth keeping, and what is renamed after the marker might be missed by a crash in between.
    context.log_file.replace(context.folder / "provision.log")
    mark(environment.marker, manifest)
    context.progress(f"{spec.name}: ready after {time.monotonic() - start:.1f} s in {context.folder}")


def smoke(spec: Spec, environment: Environment, context: InstallContext, activated: dict[str, str]) -> None:
    """Try an environment: run its smoke test, or only its interpreter where there is none.

    Raises:
        ProvisionError: it fails; the message shows what it printed.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    kept |= store.activated(activated, kept.get("PATH", ""))
    test: list[str | Path] = [spec.smoke_file] if spec.smoke_file.exists() else ["-c", "pass"]
    argv: Sequence[str | Path] = [environment.python, "-I", "-B", *test]
    box = None
    if environment.image:
        from isobench.environments.container import running

        box = running.of(environment, argv[1:], env={}, reads=[spec.smoke_file])
        argv, kept = box.argv, dict(os.environ)
    start = context.log_file.stat().st_size if context.log_file.exists() else 0
    try:
        status = process.run_logged(
            argv, env=kept, log_file=context.log_file, timeout_s=_SMOKE_TIMEOUT_S, pass_fds=[context.lock]
        )
        outcome = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
    except TimeoutError as error:
        status, outcome = 1, str(error)
    finally:
        if box is not None:
            box.remove()
    if status:
        said = context.log_file.read_bytes()[start:].decode(errors="replace").splitlines()[-20:]
        raise ProvisionError(
            f"the new {spec.name} environment doesn't work: its smoke test ({spec.smoke_file}) {outcome}",
            details="\n".join([*said, f"log: {context.log_file}"]),
            hint="the packages in the lock may not suit this machine; the log says more",
        )


def mark(marker: Path, manifest: dict[str, Any]) -> None:
    """Write the marker so that it's there whole or not at all, also after a power cut."""
    import json

    write_atomically(marker, json.dumps(manifest, indent=1) + "\n", durable=True)


def remove(name: str | Environment, *, progress: Callable[[str], None]) -> list[Path]:
    """Remove an environment, or every one that bears a name (also unfinished ones, and those of older locks).

    `name` is an environment's name or the name of its folder; returns the folders that are gone.

    Raises:
        UsageError: no environment has that name, nor is there a folder of it.
        ProvisionError: a folder can't be removed.
    """
    if isinstance(name, Environment):
        folders = [name.folder]
    else:
        folders = folders_of(name)
        if not folders and name not in names():
            raise unknown(name, sorted({*names(), *(environment.name for environment in store.ready())}))
    for folder in folders:
        with FileLock(beside(folder, ".lock"), making=folder.name, progress=progress):
            try:
                _empty(folder)
                beside(folder, ".log").unlink(missing_ok=True)
                shutil.rmtree(beside(folder, ".tmp"), ignore_errors=True)
            except OSError as error:
                raise ProvisionError(f"{folder} can't be removed: {error}", hint="look at its owner") from None
    return folders


def folders_of(name: str) -> list[Path]:
    """The folders of the environments of a name, or the one folder of that name; some may have left but a log."""
    there = {
        entry.with_suffix("") if entry.suffix in {".log", ".tmp"} else entry
        for entry in paths.environments().glob("*-*-*")
        if entry.is_dir() or entry.suffix == ".log"
    }
    return sorted(folder for folder in there if name in {folder.name, folder.name.rsplit("-", 2)[0]})


def beside(folder: Path, suffix: str) -> Path:
    """The file beside an environment's folder that goes with it."""
    return folder.with_name(folder.name + suffix)


def _empty(folder: Path) -> None:
    """Remove a folder; its marker goes first, so that at no moment half of it passes for ready.

    Of a link, only the link: where it leads, somebody else may use what is there.
    """
    if folder.is_symlink():
        folder.unlink()
    (folder / store.MARKER_FILE).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
