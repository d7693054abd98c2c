"""Environments: the isolated interpreters that workers run in, each installed from its lock and never changed.

    specs           what an environment should be: `envs/NAME/`, its identity
    providers       the ways to install one, and what they have in common
        uv/         `venv`: uv installs into a virtual environment
        conda/      `conda`: rattler installs conda packages, uv the Python packages over them
        container/  `container`: the interpreter comes from an image
        adopted     `adopted`: an interpreter that exists, used as it is
    install_context where a provider installs
    choice          which provider: what the user requests, or what this machine can use
    store           where environments lie, and which are ready
    manifest        what was installed: a record, and its file
    provision       creates one: from empty, under a file lock, smoke-tested, its manifest written last
    verification    is it still what was installed?
    inventory       what is installed, read from the files
    locking         `isobench env lock`, for conda packages and Python packages
    scripts         a script's own dependencies (PEP 723) -> an environment of its own
    config          isobench's `config.toml`
    quiet           variables that keep workers from sending telemetry

What a warm run needs (specs, store) is imported here; the rest is imported by its callers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from isobench.environments.specs import Spec, names, spec
from isobench.environments.store import Environment, find, in_folder
from isobench.system import reading

__all__ = [
    "Environment",
    "Spec",
    "check",
    "choose",
    "create",
    "find",
    "for_script",
    "in_folder",
    "lock",
    "names",
    "remove",
    "spec",
    "unfinished",
    "verify",
]

Progress = Callable[[str], None]


def create(spec: Spec, *, progress: Progress) -> Environment:
    """The spec's environment, created if it isn't ready. See `isobench.environments.provision.create`."""
    ready = find(spec)
    if ready is not None:
        return ready
    from isobench.environments import provision

    return provision.create(spec, progress=progress)


def choose(spec: Spec, *, note: Progress) -> Spec:
    """The spec with the provider that installs it. See `isobench.environments.choice.choose`."""
    from isobench.environments import choice

    return choice.choose(spec, note=note)


def check(environment: Environment) -> None:
    """Refuse an environment that was modified. See `isobench.environments.verification.check`."""
    from isobench.environments import verification

    verification.check(environment)


def verify(environment: Environment) -> list[str]:
    """Every difference from what was installed, file by file. See `isobench.environments.verification.verify`."""
    from isobench.environments import verification

    return verification.verify(environment)


def remove(name: str | Environment, *, progress: Progress = lambda _line: None) -> list[Path]:
    """Remove an environment, or all of a name. See `isobench.environments.provision.remove`."""
    from isobench.environments import provision

    return provision.remove(name, progress=progress)


def unfinished() -> list[Path]:
    """The folders of environments that aren't ready. See `isobench.environments.provision.unfinished`."""
    from isobench.environments import provision

    return provision.unfinished()


def lock(
    spec: Spec,
    *,
    platforms: Sequence[str] = (),
    update: Sequence[str] = (),
    check: bool = False,
    upgrade: bool = False,
    progress: Progress,
) -> list[str]:
    """Lock an environment's conda packages and its Python packages. See `isobench.environments.locking.lock`."""
    from isobench.environments import locking

    return locking.lock(spec, platforms=platforms, update=update, check=check, upgrade=upgrade, progress=progress)


def for_script(script: Path, base: str = "torch", *, progress: Progress) -> Spec:
    """The environment that a script needs. See `isobench.environments.scripts.for_script`."""
    # Most scripts have no block: then nothing more is loaded or done.
    if b"///" not in _read(script):
        return spec(base)
    from isobench.environments import scripts

    return scripts.for_script(script, base, progress=progress)


def _read(script: Path) -> bytes:
    try:
        return reading.read_bytes(script)
    except OSError as error:
        from isobench.errors import ModelError

        raise ModelError(f"{script} can't be read: {error.strerror}") from None
