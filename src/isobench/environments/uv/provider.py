"""The `venv` provider: `uv venv`, then `uv pip sync --require-hashes` of the lock.

Files are copied from uv's cache, not hard-linked as uv does by itself: with links, one edit of numpy/version.py in one
environment broke 22 others, of several users. (It costs some seconds and 1 GB where torch is in it; UV_LINK_MODE=clone
spares both on a file system that can share copies.) Whoever shares the cache may link, so every file is hashed
against its package's RECORD before an environment is called ready: a changed cache is found, and mended.
"""

from __future__ import annotations

import sys
from pathlib import Path

from isobench.environments.providers import InstallContext
from isobench.environments.redaction import redacted
from isobench.environments.specs import Spec
from isobench.environments.uv import command
from isobench.errors import ProvisionError
from isobench.system import process


class Venv:
    """Lays environments down with uv, on an interpreter that is on this machine."""

    name = "venv"

    def install(self, spec: Spec, context: InstallContext) -> dict[str, str]:
        """Lay the environment down. See `providers.Provider`."""
        if spec.sdists:
            from isobench.environments.uv import sources

            sources.check(spec)
        interpreter = find_interpreter(spec.python)
        context.progress(
            f"{spec.name}: laying down {len(spec.locked())} packages from the lock with uv {command.version()}"
        )
        try:
            # --no-project: the user's may be in a folder above; --clear: what is there is an unfinished build of ours.
            self._uv(["venv", "--no-project", "--clear", "--python", interpreter, context.folder], context)
            command.install_locked(spec, context, command="sync")
        except command.UvError as error:
            what = f"the {spec.name} environment can't be laid down"
            loosen = f"the lock contradicts itself; make it anew: {spec.relock}"
            raise error.explained(what, relock=spec.relock, loosen=loosen) from None
        return {"uv": command.version()}

    def purge_cache(self, packages: list[str], context: InstallContext) -> bool:
        """Throw packages out of uv's cache. See `providers.Provider`."""
        try:
            self._uv(["cache", "clean", *packages], context)
        except command.UvError:
            return False  # it's in use, or not ours to write: then the second try finds the same and says so
        return True

    def _uv(self, arguments: list[str | Path], context: InstallContext) -> None:
        command.run(arguments, log_file=context.log_file, pass_fds=[context.lock])


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
            f"Python {minor}, which the lock is for, can't be found on this machine",
            details=redacted(str(error)).strip(),
            hint=f"install it: {command.binary()} python install {minor}, or the system's package of it",
        ) from None
    return Path(found.strip()).resolve()
