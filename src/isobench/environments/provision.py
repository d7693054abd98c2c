"""Creating and removing environments.

An environment is created from empty, in its final place (its scripts contain absolute paths), under a file lock; its
manifest is written last and atomically. So a folder without one is an unfinished installation of a process that died:
it is removed and installed from scratch, never repaired, because no tool can repair it reliably after a `kill -9`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from isobench import paths
from isobench.environments import inventory, manifest, providers, quiet, store, verification
from isobench.environments.conda import meta
from isobench.environments.install_context import InstallContext
from isobench.environments.specs import Spec, names, unknown
from isobench.environments.store import Environment
from isobench.errors import ProvisionError
from isobench.failures import Ending
from isobench.system.locks import FileLock

_SMOKE_TIMEOUT_S = 600


def create(spec: Spec, *, progress: Callable[[str], None]) -> Environment:
    """Create the spec's environment, or wait for the process that is creating it; no-op if it is ready.

    Raises:
        ProvisionError: it can't be created. Nothing is left of it but a log, which the message names.
        LockError: its lock can't be taken.
    """
    environment = store.expected(spec)
    folder = environment.folder
    with lock_of(folder, spec.name, on_wait=progress) as lock:
        if not store.is_ready(folder):
            context = InstallContext(folder=folder, log_file=beside(folder, ".log"), lock=lock, progress=progress)
            context.log_file.unlink(missing_ok=True)
            try:
                _make(spec, environment, context)
            except OSError as error:
                raise ProvisionError(
                    f"the {spec.name} environment can't be created: {error.filename or folder}: {error.strerror}",
                    hint="Free some space, or set ISOBENCH_HOME to a folder that you can write to.",
                ) from None
            finally:
                if not store.is_ready(folder):
                    shutil.rmtree(folder, ignore_errors=True)
    return environment


def lock_of(folder: Path, name: str, *, on_wait: Callable[[str], None]) -> FileLock:
    """The lock on the folder of an environment, or of all environments that share it."""
    file = beside(folder, ".lock")
    return FileLock(file, what=f"the environment {name}", on_wait=on_wait, failure=Ending.ENVIRONMENT)


def _make(spec: Spec, environment: Environment, context: InstallContext) -> None:
    start = time.monotonic()
    provider = providers.get(spec.provider)
    _empty(context.folder)
    tools = provider.install(spec, context)
    modified = inventory.all_modified(verification.python_packages(environment))
    if modified:
        names = sorted(modified)
        context.progress(f"{spec.name}: the cache has modified files of {', '.join(names)}: fetching them again")
        provider.purge_cache(names, context)
        _empty(context.folder)
        tools = provider.install(spec, context)
        modified = inventory.all_modified(verification.python_packages(environment))
    problems = [f"{name}: {line}" for name, lines in sorted(modified.items()) for line in lines]
    problems += meta.modified(context.folder, meta.packages(context.folder))
    problems += verification.lock_problems(spec, environment)
    if problems:
        raise ProvisionError(
            f"the packages installed for {spec.name} differ from its lock: {problems[0]}",
            details="\n".join([*problems[:20], f"log: {context.log_file}"]),
            hint="Empty uv's cache (uv cache clean), then try again.",
        )
    activation = provider.activation_variables(context.folder)
    context.progress(f"{spec.name}: running its smoke test")
    smoke(spec, environment, context, activation)
    made = verification.describe(environment, spec, tools, activation)
    # The log must not get lost, and a file that is renamed after the manifest is written might be, in a crash.
    context.log_file.replace(context.folder / "provision.log")
    manifest.write(environment.marker, made)
    context.progress(f"{spec.name}: ready after {time.monotonic() - start:.1f} s in {context.folder}")


def smoke(spec: Spec, environment: Environment, context: InstallContext, activation: Mapping[str, str]) -> None:
    """Run the smoke test of an environment, or only its interpreter if it has none.

    Raises:
        ProvisionError: it fails; the details are what it printed.
    """
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    env |= quiet.variables() | store.activated(activation, env.get("PATH", ""))
    test: list[str | Path] = [spec.smoke_file] if spec.smoke_file.exists() else ["-c", "pass"]
    start = context.log_file.stat().st_size if context.log_file.exists() else 0
    try:
        status = providers.get(environment.provider).run(
            environment,
            ["-I", "-B", *test],
            env=env,
            reads=[spec.smoke_file],
            log_file=context.log_file,
            lock=context.lock,
            timeout_s=_SMOKE_TIMEOUT_S,
        )
        outcome = f"was killed by signal {-status}" if status < 0 else f"failed with exit code {status}"
    except TimeoutError as error:
        status, outcome = 1, f"failed: {error}"
    if status:
        printed = context.log_file.read_bytes()[start:].decode(errors="replace").splitlines()[-20:]
        raise ProvisionError(
            f"the new {spec.name} environment doesn't work: its smoke test ({spec.smoke_file}) {outcome}",
            details="\n".join([*printed, f"log: {context.log_file}"]),
            hint="The packages in the lock may not suit this machine; see the log.",
        )


def remove(name: str | Environment, *, progress: Callable[[str], None]) -> list[Path]:
    """Remove an environment, or every one of a name (also unfinished ones, and those of older locks).

    `name` is an environment's name or the name of its folder; returns the folders that were removed.

    Raises:
        UsageError: there is neither an environment nor a folder of that name.
        ProvisionError: a folder can't be removed.
        LockError: its lock can't be taken.
    """
    if isinstance(name, Environment):
        folders = [name.folder]
    else:
        folders = folders_of(name)
        if not folders and name not in names():
            raise unknown(name, sorted({*names(), *(environment.name for environment in store.ready())}))
    for folder in folders:
        with lock_of(folder, folder.name, on_wait=progress):
            try:
                _empty(folder)
                beside(folder, ".log").unlink(missing_ok=True)
                shutil.rmtree(beside(folder, ".tmp"), ignore_errors=True)
            except OSError as error:
                raise ProvisionError(f"{folder} can't be removed: {error}", hint="Check who owns it.") from None
    return folders


def folders_of(name: str) -> list[Path]:
    """The folders of the environments of a name, or the one folder of that name; of some only a log may be left."""
    return sorted(folder for folder in _folders() if name in {folder.name, folder.name.rsplit("-", 2)[0]})


def unfinished() -> list[Path]:
    """The folders of environments without a manifest, be they being installed; of some only a log may be left."""
    return sorted(folder for folder in _folders() if not (folder / store.MARKER_FILE).exists())


def _folders() -> set[Path]:
    return {folder for folder in map(_folder_of, paths.environments().glob("*-*-*")) if folder}


def _folder_of(entry: Path) -> Path | None:
    """The folder that an entry of the environments' folder is, or belongs to."""
    if entry.suffix in {".log", ".tmp"}:
        return entry.with_suffix("")
    return entry if entry.is_dir() else None


def beside(folder: Path, suffix: str) -> Path:
    """The file that belongs to an environment's folder and lies beside it."""
    return folder.with_name(folder.name + suffix)


def _empty(folder: Path) -> None:
    """Remove a folder, its manifest first, so that half of it is never taken for ready.

    Of a link only the link is removed: its target may be used by others.
    """
    if folder.is_symlink():
        folder.unlink()
    (folder / store.MARKER_FILE).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
