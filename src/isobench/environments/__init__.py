"""Environments: the isolated interpreters that workers run in. Each is laid down from its lock, and never changed.

    specs       what an environment is to be: `envs/NAME/`, its identity
    choice      which provider: what the user says, or what this machine can have
    store       where they lie, and which are ready
    provision   make one: from empty, under a lock, smoke-tested, its marker written last
    drift       is what is installed still what was laid down?
    providers   the ways to lay one down: `venv` is uv's (`venv`, `uv`, `pipconf`), `conda` rattler's (`conda`)
    locking     both layers of lock; `locks`: requirements.in -> requirements.txt; `conda.locks`: environment.yml
    scripts     a script's own dependencies (PEP 723) -> an environment of its own

What a warm run needs (specs, store) is imported here; the rest is loaded by those who call it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from isobench.environments.specs import Spec, names, spec
from isobench.environments.store import Environment, find, in_folder

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
    "verify",
]

Progress = Callable[[str], None]


def create(spec: Spec, *, progress: Progress) -> Environment:
    """The spec's environment, made first where it isn't ready yet. See `isobench.environments.provision.create`."""
    ready = find(spec)
    if ready is not None:
        return ready
    from isobench.environments import provision

    return provision.create(spec, progress=progress)


def choose(spec: Spec, *, note: Progress) -> Spec:
    """The spec with the provider that lays it down. See `isobench.environments.choice.choose`."""
    from isobench.environments import choice

    return choice.choose(spec, note=note)


def check(environment: Environment) -> None:
    """Refuse an environment that was changed by hand. See `isobench.environments.verification.check`."""
    from isobench.environments import verification

    verification.check(environment)


def verify(environment: Environment) -> list[str]:
    """Every difference from what was laid down, file by file. See `isobench.environments.verification.verify`."""
    from isobench.environments import verification

    return verification.verify(environment)


def remove(name: str | Environment, *, progress: Progress = lambda _line: None) -> list[Path]:
    """Remove an environment, or all that bear a name. See `isobench.environments.provision.remove`."""
    from isobench.environments import provision

    return provision.remove(name, progress=progress)


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
    # The cheap look first: most scripts have no block, and then nothing more is to be loaded or done.
    if b"# /// script" not in _read(script):
        return spec(base)
    from isobench.environments import scripts

    return scripts.for_script(script, base, progress=progress)


def _read(script: Path) -> bytes:
    try:
        return script.read_bytes()
    except OSError as error:
        from isobench.errors import ModelError

        raise ModelError(f"{script} can't be read: {error.strerror}") from None
