"""A virtual environment: `uv venv`, then `uv pip sync --require-hashes` of the lock.

Files are copied from uv's cache, not hard-linked as uv does by default: with links, one edit of numpy/version.py in one
environment broke 22 others, of several users. (It costs some seconds and 1 GB where torch is in it; UV_LINK_MODE=clone
avoids both on a file system that can share copies.) Other users of the cache may link, so every file is hashed
against its package's RECORD before an environment is ready: a modified cache is detected, and purged.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from isobench.environments.install_context import InstallContext
from isobench.environments.specs import Spec
from isobench.environments.uv import command
from isobench.errors import ProvisionError
from isobench.redaction import redacted
from isobench.system import process


def install(spec: Spec, context: InstallContext) -> dict[str, str]:
    """Install the environment. See `providers.Provider.install`."""
    if spec.sdists:
        from isobench.environments.uv import sources

        sources.check(spec)
    interpreter = find_interpreter(spec.python)
    context.progress(f"{spec.name}: installing {len(spec.locked())} packages from the lock with uv {command.version()}")
    try:
        # --no-project: the user's may be in a parent folder; --clear: what is there is an unfinished build of ours.
        _uv(["venv", "--no-project", "--clear", "--python", interpreter, context.folder], context)
        command.install_locked(spec, context, command="sync")
    except command.UvError as error:
        raise error.as_provision_error(
            f"the {spec.name} environment can't be installed",
            relock=spec.relock,
            loosen=f"The lock contradicts itself; resolve it again: {spec.relock}",
        ) from None
    return {"uv": command.version()}


def purge_cache(packages: Sequence[str], context: InstallContext) -> bool:
    """Remove packages from uv's cache. See `providers.Provider.purge_cache`."""
    try:
        _uv(["cache", "clean", *packages], context)
    except command.UvError:
        return False  # it's in use, or not ours to write: the second installation will find and report the same
    return True


def find_interpreter(minor: str) -> Path:
    """A Python of that minor version, by its real path: our own if it fits, else what uv finds.

    Raises:
        ProvisionError: there is none.
    """
    if minor == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(sys.executable).resolve()
    try:
        found = process.capture(
            [command.binary(), "python", "find", "--no-project", "--system", minor], env=command.environment()[0]
        )
    except OSError as error:
        raise ProvisionError(
            f"Python {minor}, which the lock is for, was not found on this machine",
            details=redacted(str(error)).strip(),
            hint=f"Install it: {command.binary()} python install {minor}, or the package of your distribution.",
        ) from None
    return Path(found.strip()).resolve()


def _uv(arguments: list[str | Path], context: InstallContext) -> None:
    command.run(arguments, log_file=context.log_file, pass_fds=[context.lock])
